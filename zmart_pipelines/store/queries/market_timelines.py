"""The steps of a market's life: its events that change it, with the transactions of these."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, Text, cast, func, select

from zmart_pipelines.store.queries.events import UNKNOWN_INDEX, WALLET
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import chain, ops

# Events that move a market, or settle something on the way. Trades, votes and claims are many.
STEPS: Final = (
    "MarketCreated",
    "ProposalAggregated",
    "ProposalApproved",
    "MarketActivated",
    "MarketCancelled",
    "MarketResolved",
    "DisputeInitiated",
    "DisputeAggregated",
    "MarketFinalized",
    "LiquidityWithdrawn",
)


class TimelineRow(msgspec.Struct, frozen=True):
    """An event and its transaction.

    Attributes:
        wallet: The wallet that the event names first, in base58; None where the backend or the
            admin sent it.
        fee: Lamports; None where it was not read.
        action: Of our submission that signed it; None where a wallet signed it.
        intent_id: That submission.
        run_id: The Dagster run that signed it.
    """

    signature: bytes
    log_index: int
    name: str
    slot: int
    commitment: str
    block_time: int | None
    fee: int | None
    wallet: str | None
    action: str | None
    intent_id: int | None
    run_id: str | None


_events, _transactions = chain.events, chain.transactions
_attempts, _intents = ops.attempts, ops.intents


def market_timeline(conn: Connection, market_id: bytes) -> list[TimelineRow]:
    """Return the market's steps in the chain's order."""
    place = func.coalesce(_events.c.index_in_block, UNKNOWN_INDEX)
    statement = (
        select(
            _events.c.signature,
            _events.c.log_index,
            _events.c.name,
            _events.c.slot,
            cast(_events.c.commitment, Text).label("commitment"),
            _transactions.c.block_time,
            _transactions.c.fee,
            WALLET.label("wallet"),
            _intents.c.action,
            _intents.c.id.label("intent_id"),
            _attempts.c.run_id,
        )
        .join(
            _transactions,
            (_transactions.c.signature == _events.c.signature)
            & (_transactions.c.digest == _events.c.digest),
        )
        .outerjoin(_attempts, _attempts.c.signature == _events.c.signature)
        .outerjoin(_intents, _intents.c.id == _attempts.c.intent_id)
        .where(
            _events.c.market_id == market_id,
            _events.c.commitment != "orphaned",
            _events.c.name.in_(STEPS),
        )
        .order_by(_events.c.slot, place, _events.c.signature, _events.c.log_index)
    )
    return many(TimelineRow, conn.execute(statement))
