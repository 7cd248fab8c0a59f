"""A recorded history in the ledger, as the readers would have stored it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Engine

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import SOL, Recorder, logs_of
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.program.events import SharesBought

SOURCES = {
    "reported": Source.WEBHOOK,
    "confirmed": Source.CONFIRMED_POLL,
    "finalized": Source.FINALIZED_WINDOW,
}


def store(engine: Engine, transactions: Sequence[RawTransaction], level: str) -> None:
    """Ingest from the source that reports at this commitment."""
    ingest_committed(engine, transactions, source=SOURCES[level], commitment=Commitment(level))


def two_markets(engine: Engine) -> Recorder:
    """Two markets with trades of two wallets: the oldest part finalized, the newest reported.

    One transaction failed. A false report of the last purchase was orphaned.
    """
    chain = Recorder("two markets")
    one, two = chain.create(1), chain.create(2)
    for market_id in (one, two):
        chain.open(market_id)
    store(engine, chain.transactions, "finalized")
    stored = len(chain.transactions)
    # Several transactions in one slot, the last of two markets at once.
    chain.buy(one, chain.users[1], True, SOL)
    chain.buy(one, chain.users[2], False, 2 * SOL)
    chain.send(
        chain.buying(one, chain.users[1], True, SOL), chain.buying(two, chain.users[1], True, SOL)
    )
    chain.advance()
    chain.buy(two, chain.users[1], True, 1)
    assert chain.transactions[-1].error is not None
    chain.advance()
    store(engine, chain.transactions[stored:], "confirmed")
    stored = len(chain.transactions)
    last = chain.buy(two, chain.users[2], True, 3 * SOL)
    false = SharesBought(two, bytes(chain.users[4]), False, 10**9, SOL, 1, chain.now)
    store(engine, [msgspec.structs.replace(last, logs=logs_of([false]))], "reported")
    store(engine, [last], "confirmed")
    chain.advance()
    chain.buy(one, chain.users[2], True, SOL // 2)
    store(engine, chain.transactions[stored + 1 :], "reported")
    return chain
