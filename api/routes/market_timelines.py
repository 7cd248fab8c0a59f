"""How a market came to its state: who moved it, by which transaction, at what fee."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get
from sqlalchemy import Connection

from api.dependencies import DatabaseDep, MarketPath, error_responses
from api.markets.lookup import require_market_id
from api.requests import identifiers
from zmart_pipelines.client_schemas.events import Level
from zmart_pipelines.client_schemas.formats import (
    StateName,
    base58_signature,
    chain_time,
    state_name,
)
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries.market_timelines import TimelineRow, market_timeline

Mover = Literal["wallet", "pipelines", "admin"]
# The state that a market has from each event on; the others leave it.
_STATES = {
    "MarketCreated": MarketState.PROPOSED,
    "ProposalApproved": MarketState.APPROVED,
    "MarketActivated": MarketState.ACTIVE,
    "MarketCancelled": MarketState.CANCELLED,
    "MarketResolved": MarketState.RESOLVING,
    "DisputeInitiated": MarketState.DISPUTED,
    "MarketFinalized": MarketState.FINALIZED,
}


class TimelineStep(msgspec.Struct, frozen=True, kw_only=True):
    """An event that moved the market to `state`; null where the state stayed.

    `moved_by` is who signed its transaction: a `wallet`, the `pipelines` by the submission
    `intent`, for its `action`, in the Dagster run `run_id`, or the program's `admin`. `fee` is in
    lamports, null where it was not read.
    """

    id: str
    event: str
    state: StateName | None
    at: str | None
    slot: int
    signature: str
    commitment: Level
    fee: int | None
    moved_by: Mover
    wallet: str | None
    action: str | None
    intent: int | None
    run_id: str | None


class MarketTimeline(msgspec.Struct, frozen=True):
    """The steps of a market, in the chain's order."""

    market_id: str
    steps: list[TimelineStep]
    count: int


@get(
    "/api/markets/{market:str}/timeline",
    tags=["markets"],
    responses=error_responses(400, 404),
)
async def get_market_timeline(database: DatabaseDep, market: MarketPath) -> MarketTimeline:
    """Get how a market came to its state: by whom, by which transaction, at what fee."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketTimeline:
        market_id = require_market_id(conn, key)
        steps = [_step(row) for row in market_timeline(conn, market_id)]
        return MarketTimeline(market_id.hex(), steps, len(steps))

    return await database.read(read)


def _step(row: TimelineRow) -> TimelineStep:
    signature = base58_signature(row.signature)
    state = _STATES.get(row.name)
    return TimelineStep(
        id=f"{signature}:{row.log_index}",
        event=row.name,
        state=None if state is None else state_name(state),
        at=chain_time(row.block_time),
        slot=row.slot,
        signature=signature,
        commitment=msgspec.convert(row.commitment, Level),
        fee=row.fee,
        moved_by=_mover(row),
        wallet=row.wallet if row.action is None else None,
        action=row.action,
        intent=row.intent_id,
        run_id=row.run_id or None,
    )


def _mover(row: TimelineRow) -> Mover:
    if row.action is not None:
        return "pipelines"
    return "admin" if row.wallet is None else "wallet"


HANDLERS = [get_market_timeline]
