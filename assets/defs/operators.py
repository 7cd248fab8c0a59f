"""Assets that operators configure in the launchpad: resolutions, switches, admin transactions.

Every field of a config has a default, so that each asset can also be materialized without
configuration: it then continues what is open, or shows the current state. None depends on another
asset: operators decide when they run, and no new row of a table makes them stale.
"""

from collections.abc import Callable, Iterator

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.asset_jobs import SUBMISSION_TAGS, asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.defs.submissions import action_result, drive
from assets.launches import launched_by
from assets.resources import Backend, BackendResource
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.monitoring.alerts import open_alerts
from zmart_pipelines.operations.operator_acts import ActRefused, set_switch
from zmart_pipelines.program.accounts import MarketAccount
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import ops as tables
from zmart_pipelines.submissions import admin, switches
from zmart_pipelines.submissions.admin import PreparedTransaction, PrepareRefused
from zmart_pipelines.submissions.market_reads import NoSuchMarket, read_market_by_name
from zmart_pipelines.submissions.resolutions import (
    Resolution,
    ResolutionRefused,
    ResolutionRequest,
    request_resolution,
)

_OUTCOMES = {"YES": True, "NO": False}


def _refuse(reason: object) -> dg.Failure:
    """Return a failure that is not retried: the operator has to change the request."""
    return dg.Failure(description=str(reason), allow_retries=False)


class ResolutionConfig(dg.Config):
    """The market to resolve, its outcome and the evidence. Empty: continue open resolutions."""

    market: str = Field("", description="The market's id (64 hex digits) or address.")
    outcome: str = Field(
        "", description='"YES" or "NO", quoted, because YAML reads a bare YES as true.'
    )
    evidence: str = Field(
        "", description="What decided the question, as text with links; it is pinned to IPFS."
    )
    before_end: bool = Field(False, description="Resolve before the market's end time.")


def _requested(
    context: dg.AssetExecutionContext, backend: Backend, config: ResolutionConfig
) -> ResolutionRequest | None:
    if not (config.market or config.outcome or config.evidence):
        return None
    if config.outcome.upper() not in _OUTCOMES:
        raise _refuse(f"outcome: {config.outcome[:20]!r} is neither YES nor NO")
    try:
        market = read_market_by_name(backend.rpc, backend.settings.program, config.market)
        return request_resolution(
            backend.engine(Role.PIPELINES),
            backend.reader,
            backend.settings,
            Resolution(
                market_id=market.market_id,
                outcome=_OUTCOMES[config.outcome.upper()],
                evidence=config.evidence,
                before_end=config.before_end,
            ),
            by=launched_by(context.run),
        )
    except (ResolutionRefused, NoSuchMarket) as error:
        raise _refuse(error) from None


@dg.multi_asset(
    name="market_resolutions",
    specs=[
        asset_spec(
            "submissions/market_resolutions",
            table=tables.attempts,
            kinds=["solana"],
            description="Markets that operators resolve: the evidence is pinned, then "
            "resolve_market is sent once with the resolver's key. Enter market, outcome and "
            "evidence in the launchpad.",
            skippable=True,
        )
    ],
)
def market_resolutions(
    context: dg.AssetExecutionContext, backend: BackendResource, config: ResolutionConfig
) -> Iterator[dg.MaterializeResult[None]]:
    """Resolve the market of the config, and drive the open resolutions."""
    requested = _requested(context, backend, config)
    created = [] if requested is None or requested.repeated else [requested.intent]
    report = drive(context, backend, {"resolve_market"}, created)
    more: dict[str, dg.MetadataValue | str] = {}
    if requested is not None:
        more = {
            "Market": requested.intent.market_id.hex(),
            "Outcome": config.outcome.upper(),
            "Evidence CID": requested.evidence_cid,
            "Requested before": "yes" if requested.repeated else "no",
        }
    key = dg.AssetKey(["submissions", "market_resolutions"])
    yield from action_result(context, backend, key, "resolve_market", created, report, more)


class SwitchConfig(dg.Config):
    """The kill switch to set. Empty: only show all of them."""

    action: str = Field("", description='The action, or "all".')
    enabled: bool = Field(True, description="True: on; false: off.")
    reason: str = Field("", description="Why; required to switch off.")


@dg.multi_asset(
    name="switches",
    specs=[
        asset_spec(
            "submissions/switches",
            table=tables.switches,
            description="The kill switches: one for each action and one for all of them. An "
            "action that is off is still planned and simulated, but neither signed nor sent.",
            skippable=True,
        )
    ],
)
def submission_switches(
    context: dg.AssetExecutionContext, backend: BackendResource, config: SwitchConfig
) -> Iterator[dg.MaterializeResult[None]]:
    """Set the switch of the config, and show all switches."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        if config.action:
            try:
                set_switch(
                    conn,
                    launched_by(context.run),
                    config.action,
                    enabled=config.enabled,
                    reason=config.reason,
                )
            except ActRefused as error:
                raise _refuse(error) from None
        found = switches.read_switches(conn)
        disabled = switches.disabled_actions(conn, backend.settings)
    result = dg.MaterializeResult[None](
        asset_key=["submissions", "switches"],
        metadata={
            "SUBMISSIONS_ENABLED": backend.settings.submissions_enabled,
            "Neither signed nor sent": metadata.texts(sorted(disabled)),
            "Kill switches": metadata.table(
                metadata.rows(found, "action", "enabled", "reason", "changed_at")
            ),
        },
    )
    yield from record_result(context, result, changed=bool(config.action))


class AdminConfig(dg.Config):
    """The transaction to prepare. Empty: every approval that is pending."""

    transaction: str = Field("", description="approve, cancel, pause, unpause or update-config.")
    market: str = Field("", description="For approve and cancel: the market's id or address.")
    values: dict[str, int] = Field(
        {}, description='For update-config: the new values, e.g. {"dispute_period": 172800}.'
    )


def _of_market(
    reader: AccountReader,
    make: Callable[[AccountReader, MarketAccount], PreparedTransaction],
    name: str,
) -> PreparedTransaction:
    return make(reader, read_market_by_name(reader.rpc, reader.program, name, "confirmed"))


def _pending_approvals(backend: Backend) -> tuple[list[PreparedTransaction], list[str]]:
    """Return each approval with an open alert, and why some can no longer be prepared."""
    with backend.engine(Role.PIPELINES).connect() as conn:
        keys = open_alerts(conn, topic="approval_needs_admin")
    prepared, refused = [], []
    for market in (key.market_id.hex() for key in keys if key.market_id is not None):
        try:
            prepared.append(_of_market(backend.reader, admin.approve, market))
        except PrepareRefused as error:
            refused.append(f"market {market}: {error}")
    return prepared, refused


def _named(backend: Backend, config: AdminConfig) -> PreparedTransaction:
    reader = backend.reader
    match config.transaction:
        case "approve":
            return _of_market(reader, admin.approve, config.market)
        case "cancel":
            return _of_market(reader, admin.cancel, config.market)
        case "pause" | "unpause":
            return admin.pause(reader, paused=config.transaction == "pause")
        case "update-config":
            return admin.update_config(reader, config.values)
        case other:
            raise PrepareRefused(
                f"transaction: {other[:40]!r} is not one of approve, cancel, pause, unpause and"
                " update-config"
            )


@dg.multi_asset(
    name="admin_transactions",
    specs=[
        asset_spec(
            "submissions/admin_transactions",
            table=tables.alerts,
            kinds=["solana"],
            description="Unsigned transactions for the admin's wallet, in base64 with a "
            "description: pending approvals, or the one entered in the launchpad.",
            skippable=True,
        )
    ],
)
def admin_transactions(
    context: dg.AssetExecutionContext, backend: BackendResource, config: AdminConfig
) -> Iterator[dg.MaterializeResult[None]]:
    """Prepare transactions that only the admin may sign; nothing is signed or sent here."""
    refused: list[str] = []
    if config.transaction:
        try:
            prepared = [_named(backend, config)]
        except (PrepareRefused, NoSuchMarket) as error:
            raise _refuse(error) from None
        with backend.engine(Role.PIPELINES).begin() as conn:
            launched_by(context.run).record(
                conn,
                "prepare_admin_transaction",
                config.market or None,
                details={"kind": prepared[0].kind, "description": prepared[0].description},
            )
    else:
        prepared, refused = _pending_approvals(backend)
    shown: dict[str, dg.MetadataValue | int] = {
        "Prepared": len(prepared),
        "Refused": metadata.texts(refused),
    }
    for number, transaction in enumerate(prepared, 1):
        name = f"{number} {transaction.kind}"
        shown[name] = metadata.texts(transaction.description)
        shown[f"{name} transaction"] = dg.MetadataValue.text(transaction.transaction)
        context.log.info("%s: %s", name, "; ".join(transaction.description))
    result = dg.MaterializeResult[None](
        asset_key=["submissions", "admin_transactions"], metadata=shown
    )
    yield from record_result(context, result, changed=bool(prepared))


resolve_market_job = asset_job(
    "resolve_market",
    "submissions/market_resolutions",
    tags=SUBMISSION_TAGS,
    description="By operators: resolves the market of the launchpad's config; without a config "
    "it continues resolutions that are not final yet.",
)

switch_submissions_job = asset_job(
    "switch_submissions",
    "submissions/switches",
    description="By operators: shows the kill switches, or sets the one of the launchpad's config.",
)

prepare_admin_transaction_job = asset_job(
    "prepare_admin_transaction",
    "submissions/admin_transactions",
    description="By operators: prepares transactions that only the admin may sign; without a "
    "config, every pending approval.",
)
