"""Group ``voting``: the tallies of ballots, per market, kind and round.

``zmart_pipelines.voting`` counts; nothing is frozen or sent here.
"""

from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.asset_checks import is_selected
from assets.asset_specs import asset_spec
from assets.freshness import VerifiedWithin
from assets.resources import BackendResource
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


def _rows(counted: list[Tally]) -> dg.MetadataValue:
    return metadata.table(
        [
            {
                "market_id": tally.market_id,
                "round": tally.round,
                "votes_for": tally.votes_for,
                "votes_against": tally.votes_against,
            }
            for tally in sorted(counted, key=lambda tally: -tally.total)
        ]
    )


@dg.multi_asset(
    name="proposal_tallies",
    specs=[
        asset_spec(
            "voting/proposal_tallies",
            table=tallies_table,
            deps=["market/state"],
            description="The current tally of each proposed market. Wallet ballots and votes cast "
            "on chain are counted together, one per wallet; the vote on chain takes precedence.",
            freshness=VerifiedWithin(warn=10, fail=20),
        )
    ],
)
def proposal_tallies(backend: BackendResource) -> dg.MaterializeResult[None]:
    """Recount the proposals that changed."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        counted = tallies.recount_changed(conn, "proposal")
        due = scan_proposals(conn, backend.settings)
    return dg.MaterializeResult(
        asset_key=["voting", "proposal_tallies"],
        metadata={
            "tallies counted": len(counted),
            "ballots": sum(tally.ballots for tally in counted),
            "over threshold": len(due.passing),
            "tallies": _rows(counted),
        },
    )


@dg.multi_asset(
    name="dispute_tallies",
    specs=[
        asset_spec(
            "voting/dispute_tallies",
            table=tallies_table,
            deps=["market/state", "market/positions"],
            description="The current tally of each disputed market. Only wallets that held shares "
            "of the market when it was disputed may vote.",
            freshness=VerifiedWithin(warn=10, fail=20),
        )
    ],
)
def dispute_tallies(backend: BackendResource) -> dg.MaterializeResult[None]:
    """Recount the disputes that changed, and those whose vote has ended."""
    chain_time = backend.sensor_rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).begin() as conn:
        ended = elapsed_windows(conn, chain_time, ledger_periods(conn, backend.settings))
        counted = tallies.recount_changed(conn, "dispute", ended)
    return dg.MaterializeResult(
        asset_key=["voting", "dispute_tallies"],
        metadata={
            "tallies counted": len(counted),
            "ballots": sum(tally.ballots for tally in counted),
            "tallies": _rows(counted),
        },
    )


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
                "tallies": metadata.table(
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
