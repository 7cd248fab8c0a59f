"""What people decide and the launchpad takes: resolutions, switches, the admin's transactions.

Every field of a config has a default, so that each asset can also be materialized as it is:
then it goes on with what is open, or shows how things stand. None depends on another asset:
they follow people, and no new row of a table makes them out of date.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.asset_jobs import SUBMISSION_TAGS, asset_job
from assets.asset_specs import asset_spec
from assets.defs.submissions import drive, result
from assets.resources import Backend, BackendResource
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.program.accounts import MarketAccount
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import ops as tables
from zmart_pipelines.submissions import admin, switches
from zmart_pipelines.submissions.admin import PreparedTransaction, PrepareRefused
from zmart_pipelines.submissions.candidates import alerts_to_recheck
from zmart_pipelines.submissions.market_reads import NoSuchMarket, read_market_by_name
from zmart_pipelines.submissions.resolutions import (
    Resolution,
    ResolutionRefused,
    ResolutionRequest,
    request,
)

_OUTCOMES = {"YES": True, "NO": False}
_NEEDS_ADMIN = "approval_needs_admin"


def _refuse(reason: object) -> dg.Failure:
    """A refusal is the operator's to mend; trying the same again cannot help."""
    return dg.Failure(description=str(reason), allow_retries=False)


class ResolutionConfig(dg.Config):
    """Which market is resolved, how, and why. Empty: only what is open is driven on."""

    market: str = Field("", description="The market's id (64 hex digits) or address.")
    outcome: str = Field(
        "", description='"YES" or "NO", in quotes: YAML takes a bare YES for true.'
    )
    evidence: str = Field(
        "", description="What decided the question, in words and links; it is pinned to IPFS."
    )
    before_end: bool = Field(
        False, description="Resolve although the market's end time has not passed."
    )


def _requested(backend: Backend, config: ResolutionConfig) -> ResolutionRequest | None:
    if not (config.market or config.outcome or config.evidence):
        return None
    if config.outcome.upper() not in _OUTCOMES:
        raise _refuse(f"outcome: {config.outcome[:20]!r} is neither YES nor NO")
    try:
        market = read_market_by_name(backend.rpc, backend.settings.program, config.market)
        return request(
            backend.engine(Role.PIPELINES),
            backend.reader,
            backend.settings,
            Resolution(
                market_id=market.market_id,
                outcome=_OUTCOMES[config.outcome.upper()],
                evidence=config.evidence,
                before_end=config.before_end,
            ),
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
            description="Markets that operators resolve: the evidence is pinned and "
            "resolve_market is sent with the resolver's key, once. Give market, outcome and "
            "evidence in the launchpad.",
        )
    ],
)
def market_resolutions(
    context: dg.AssetExecutionContext, backend: BackendResource, config: ResolutionConfig
) -> dg.MaterializeResult[None]:
    """Resolve the market of the config, and whatever resolution is open."""
    requested = _requested(backend, config)
    report = drive(context, backend, {"resolve_market"})
    more: dict[str, dg.MetadataValue | str] = {}
    if requested is not None:
        more = {
            "market": requested.intent.market_id.hex(),
            "outcome": config.outcome.upper(),
            "evidence": requested.evidence_cid,
            "asked for before": "yes" if requested.repeated else "no",
        }
    created = [] if requested is None or requested.repeated else [requested.intent]
    key = dg.AssetKey(["submissions", "market_resolutions"])
    return result(backend, key, "resolve_market", created, report, more)


class SwitchConfig(dg.Config):
    """Which switch is set, and how. Empty: they are only shown."""

    action: str = Field("", description='The action, or "all".')
    enabled: bool = Field(True, description="On, or off.")
    reason: str = Field("", description="Why; needed to switch off.")


@dg.multi_asset(
    name="switches",
    specs=[
        asset_spec(
            "submissions/switches",
            table=tables.switches,
            description="The kill switches, one for each action and one for all. What is off is "
            "still decided, counted and simulated, but neither signed nor sent.",
        )
    ],
)
def submission_switches(
    backend: BackendResource, config: SwitchConfig
) -> dg.MaterializeResult[None]:
    """Set the switch of the config, and show all of them."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        if config.action:
            name: Any = config.action
            try:
                switches.set_switch(conn, name, enabled=config.enabled, reason=config.reason)
            except ValueError as error:
                raise _refuse(error) from None
        found = switches.read_switches(conn)
        off = switches.disabled_actions(conn, backend.settings)
    return dg.MaterializeResult(
        asset_key=["submissions", "switches"],
        metadata={
            "SUBMISSIONS_ENABLED": backend.settings.submissions_enabled,
            "neither signed nor sent": metadata.texts(sorted(off)),
            "switches": metadata.table(
                metadata.rows(found, "action", "enabled", "reason", "changed_at")
            ),
        },
    )


class AdminConfig(dg.Config):
    """What is prepared. Empty: every approval that is waited for."""

    transaction: str = Field("", description="approve, cancel, pause, unpause or update-config.")
    market: str = Field("", description="Of approve and cancel: the market's id or address.")
    values: dict[str, int] = Field(
        {}, description='Of update-config: what changes, e.g. {"dispute_period": 172800}.'
    )


def _of_market(
    reader: AccountReader,
    make: Callable[[AccountReader, MarketAccount], PreparedTransaction],
    name: str,
) -> PreparedTransaction:
    return make(reader, read_market_by_name(reader.rpc, reader.program, name, "confirmed"))


def _waited_for(backend: Backend) -> tuple[list[PreparedTransaction], list[str]]:
    """Every approval that an alert asks for, and why some cannot be prepared any more."""
    with backend.engine(Role.PIPELINES).connect() as conn:
        keys = [key for key in alerts_to_recheck(conn) if key.topic == _NEEDS_ADMIN]
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
            raise PrepareRefused(f"transaction: {other[:40]!r} is none that can be prepared")


@dg.multi_asset(
    name="admin_transactions",
    specs=[
        asset_spec(
            "submissions/admin_transactions",
            table=tables.alerts,
            kinds=["solana"],
            description="Unsigned transactions for the admin's wallet, in base64 with what they "
            "do in words: approvals that are waited for, or what the launchpad names.",
        )
    ],
)
def admin_transactions(
    context: dg.AssetExecutionContext, backend: BackendResource, config: AdminConfig
) -> dg.MaterializeResult[None]:
    """Prepare what only the admin may sign; nothing is signed or sent here."""
    refused: list[str] = []
    if config.transaction:
        try:
            prepared = [_named(backend, config)]
        except (PrepareRefused, NoSuchMarket) as error:
            raise _refuse(error) from None
    else:
        prepared, refused = _waited_for(backend)
    shown: dict[str, dg.MetadataValue | int] = {
        "prepared": len(prepared),
        "refused": metadata.texts(refused),
    }
    for number, one in enumerate(prepared, 1):
        name = f"{number} {one.kind}"
        shown[name] = metadata.texts(one.words)
        shown[f"{name} transaction"] = dg.MetadataValue.text(one.transaction)
        context.log.info("%s: %s", name, "; ".join(one.words))
    return dg.MaterializeResult(asset_key=["submissions", "admin_transactions"], metadata=shown)


resolve_market_job = asset_job(
    "resolve_market",
    "submissions/market_resolutions",
    tags=SUBMISSION_TAGS,
    description="By operators: resolves the market of the launchpad's config; without a config "
    "it goes on with resolutions that are not final yet.",
)

switch_submissions_job = asset_job(
    "switch_submissions",
    "submissions/switches",
    description="By operators: shows the kill switches, or sets the one of the launchpad's config.",
)

prepare_admin_transaction_job = asset_job(
    "prepare_admin_transaction",
    "submissions/admin_transactions",
    description="By operators: prepares what only the admin may sign; without a config every "
    "approval that is waited for.",
)
