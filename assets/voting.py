"""Group ``voting``: the counts of ballots, per market, kind and round.

Counting is ``zmart_pipelines.voting``; nothing is frozen or sent here.
"""

from __future__ import annotations

import dagster as dg

from assets import metadata
from assets.asset_specs import asset_spec
from assets.resources import BackendResource
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.voting import tallies as tallies_table
from zmart_pipelines.submissions import candidates
from zmart_pipelines.voting import due_proposals
from zmart_pipelines.voting.tallies import Tally


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
            description="How the ballots of each proposed market stand. Wallet ballots and votes "
            "cast on chain are counted together, one per wallet, the chain's record first.",
        )
    ],
)
def proposal_tallies(backend: BackendResource) -> dg.MaterializeResult[None]:
    """Count the proposals with news anew."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        counted = due_proposals.recount(conn, "proposal")
        due = due_proposals.due(conn, backend.settings)
    return dg.MaterializeResult(
        asset_key=["voting", "proposal_tallies"],
        metadata={
            "tallies counted": len(counted),
            "ballots": sum(tally.ballots for tally in counted),
            "over threshold": len(due),
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
            description="How the ballots of each disputed market stand. Only wallets that hold a "
            "position in the market may vote.",
        )
    ],
)
def dispute_tallies(backend: BackendResource) -> dg.MaterializeResult[None]:
    """Count the disputes with news, and those whose vote is over, anew."""
    chain_time = backend.glance.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).begin() as conn:
        period = candidates.latest_dispute_period(conn) or 0
        times = candidates.periods(backend.settings, period)
        over = candidates.run_out(conn, chain_time, times)
        counted = due_proposals.recount(conn, "dispute", over)
    return dg.MaterializeResult(
        asset_key=["voting", "dispute_tallies"],
        metadata={
            "tallies counted": len(counted),
            "ballots": sum(tally.ballots for tally in counted),
            "tallies": _rows(counted),
        },
    )


ASSETS = [proposal_tallies, dispute_tallies]
