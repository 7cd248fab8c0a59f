"""Group ``voting``: the tallies of ballots, per market, kind and round.

``zmart_pipelines.voting`` counts; nothing is frozen or sent here. The tallies are counted in the
step that submits them (``assets.defs.submissions``): whenever a step of their own skipped its asset
because nothing changed, Dagster would skip the submissions that follow it.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from assets import metadata
from assets.asset_checks import is_selected
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.freshness import VerifiedWithin
from assets.resources import Backend, BackendResource
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.voting import tallies as tallies_table
from zmart_pipelines.submissions.due_markets import elapsed_windows, ledger_periods
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.due_proposals import scan_proposals
from zmart_pipelines.voting.tallies import Tally

_TALLIES = {
    "proposal": dg.AssetKey(["voting", "proposal_tallies"]),
    "dispute": dg.AssetKey(["voting", "dispute_tallies"]),
}


PROPOSAL_TALLIES = (
    asset_spec(
        "voting/proposal_tallies",
        table=tallies_table,
        deps=["market/state"],
        description="The current tally of each proposed market. Wallet ballots and votes cast "
        "on chain are counted together, one per wallet; the vote on chain takes precedence.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
)
DISPUTE_TALLIES = (
    asset_spec(
        "voting/dispute_tallies",
        table=tallies_table,
        deps=["market/state", "market/positions"],
        description="The current tally of each disputed market. Only wallets that held shares "
        "of the market when it was disputed may vote.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
)


def recount_proposals(
    context: dg.AssetExecutionContext, backend: Backend
) -> Iterator[dg.MaterializeResult[None]]:
    """Recount the proposals that changed, if the run selects their asset."""
    if _TALLIES["proposal"] not in context.selected_asset_keys:
        return
    with backend.engine(Role.PIPELINES).begin() as conn:
        counted = tallies.recount_changed(conn, "proposal")
        due = scan_proposals(conn, backend.settings)
    facts = {"Over threshold": len(due.passing)}
    yield from _tally_result(context, _TALLIES["proposal"], counted, facts)


def recount_disputes(
    context: dg.AssetExecutionContext, backend: Backend
) -> Iterator[dg.MaterializeResult[None]]:
    """Recount the disputes that changed or whose vote has ended, if the run selects their asset."""
    if _TALLIES["dispute"] not in context.selected_asset_keys:
        return
    chain_time = backend.sensor_rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).begin() as conn:
        ended = elapsed_windows(conn, chain_time, ledger_periods(conn, backend.settings))
        counted = tallies.recount_changed(conn, "dispute", ended)
    yield from _tally_result(context, _TALLIES["dispute"], counted, {})


def _tally_result(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    counted: Sequence[Tally],
    facts: Mapping[str, int],
) -> Iterator[dg.MaterializeResult[None]]:
    rows = [
        {
            "market_id": tally.market_id,
            "round": tally.round,
            "votes_for": tally.votes_for,
            "votes_against": tally.votes_against,
        }
        for tally in sorted(counted, key=lambda tally: -tally.total)
    ]
    result = dg.MaterializeResult[None](
        asset_key=key,
        metadata={
            "Tallies counted": len(counted),
            "Ballots": sum(tally.ballots for tally in counted),
            **facts,
            "Tallies": metadata.table(rows),
        },
    )
    yield from record_result(context, result, changed=bool(counted))


@dg.multi_asset_check(
    name="tallies_match_ballots",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "tally_matches_ballots",
            asset=key,
            description="Each tally equals the count of its ballots; a frozen tally, that of the "
            "ballots it was frozen with.",
        )
        for key in _TALLIES.values()
    ],
)
def tallies_match_ballots(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """Compare the tallies of both kinds in one query."""
    with backend.engine(Role.READ).connect() as conn:
        mismatches = tallies.find_mismatches(conn)
    for kind, key in _TALLIES.items():
        if not is_selected(context, key):
            continue
        wrong = [mismatch for mismatch in mismatches if mismatch.kind == kind]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="tally_matches_ballots",
            passed=not wrong,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(wrong)} tallies differ from their ballots",
            metadata={
                "Tallies": metadata.table(
                    metadata.rows(
                        wrong,
                        "market_id",
                        "round",
                        "status",
                        "stored",
                        "counted",
                        "not_counted",
                        "not_stored",
                    )
                )
            },
        )
