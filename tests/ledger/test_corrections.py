"""What was told wrongly, or is no more: lies, forks, poison."""

from __future__ import annotations

import msgspec
from sqlalchemy import Engine, select

from tests.ledger.conftest import Feed, differences, hashes
from tests.ledger.recorded_rpc import (
    PROGRAM,
    SOL,
    Recorder,
    address,
    logs_of,
    signature,
)
from zmart_pipelines import base58
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.orphaning import orphan_readings
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.events import SharesBought
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import health, markets, trades
from zmart_pipelines.store.tables import chain as tables


def forged(chain: Recorder, market_id: bytes, real: RawTransaction) -> RawTransaction:
    """What a sender with a stolen secret might say about a real transaction."""
    lie = SharesBought(market_id, bytes(chain.users[4]), False, 10**9, SOL, 1, chain.now)
    return msgspec.structs.replace(real, logs=logs_of([lie]))


def test_a_lie_of_a_webhook_gives_way_to_what_rpc_reads(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    real = chain.buy(market_id, chain.users[1])
    feed(chain.told[:-1])
    feed([forged(chain, market_id, real)], "reported", Source.WEBHOOK)
    assert differences(db, chain) != []
    result = feed([real], "confirmed", Source.CONFIRMED_POLL)
    assert (result.orphaned, result.new_transactions) == (1, 1)
    assert differences(db, chain) == []
    # The other way round it is not even taken.
    late = feed([forged(chain, market_id, real)], "reported", Source.WEBHOOK)
    assert (late.ignored, late.new_transactions, late.markets) == (1, 0, frozenset())
    assert differences(db, chain) == []
    with db.connect() as conn:
        kept = conn.execute(
            select(tables.transactions.c.commitment).where(
                tables.transactions.c.signature == real.signature
            )
        ).scalars()
        assert sorted(kept) == ["confirmed", "orphaned"]


def test_a_lie_about_another_market_is_taken_back_there_too(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    first, second = chain.create(1), chain.create(2)
    chain.open(first)
    chain.open(second)
    real = chain.buy(first, chain.users[1])
    feed(chain.told[:-1])
    feed([forged(chain, second, real)], "reported", Source.WEBHOOK)
    result = feed([real], "finalized", Source.FINALIZED_WINDOW)
    assert set(result.markets) == {first, second}
    assert differences(db, chain) == []


def test_a_transaction_that_landed_in_another_slot_counts_there(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    bought = chain.buy(market_id, chain.users[1])
    before = msgspec.structs.replace(bought, slot=bought.slot - 1, index_in_block=50)
    feed([*chain.told[:-1], before], "confirmed", Source.CONFIRMED_POLL)
    result = feed([bought], "finalized", Source.FINALIZED_WINDOW)
    assert (result.new_transactions, result.orphaned) == (1, 1)
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert [one.slot for one in trades.find(conn, market_id=market_id)] == [bought.slot]


def test_what_the_chain_dropped_is_withdrawn_and_may_come_back(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    kept = hashes_after(feed, db, chain)
    lost = chain.buy(market_id, chain.users[1])
    feed([lost], "confirmed", Source.CONFIRMED_POLL)
    assert hashes(db, chain) != kept
    with db.connect() as conn:
        key = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.digest).where(
                tables.transactions.c.signature == lost.signature
            )
        ).one()
        head = stream.head(conn)
    result = run_in_transaction(db, lambda conn: orphan_readings(conn, [tuple(key)], PROGRAM))
    assert (result.orphaned, set(result.markets)) == (1, {market_id})
    assert hashes(db, chain) == kept
    with db.connect() as conn:
        (own, all_) = stream.read_after(conn, head)
        assert trades.find(conn, market_id=market_id) == []
    assert own.channel == stream.market_channel(market_id)
    assert all_.channel == stream.MARKETS_CHANNEL
    assert len(own.payload["correction"]["orphaned"]) == 1
    # A webhook cannot raise the dead; RPC can.
    assert feed([lost], "reported", Source.WEBHOOK).ignored == 1
    assert hashes(db, chain) == kept
    assert feed([lost], "finalized", Source.FINALIZED_WINDOW).promoted == 1
    assert differences(db, chain) == []


def hashes_after(feed: Feed, db: Engine, chain: Recorder) -> dict[bytes, str]:
    feed(chain.told)
    return hashes(db, chain)


def test_a_market_whose_creation_is_withdrawn_vanishes(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    created = chain.told[-1]
    feed(chain.told, "confirmed", Source.CONFIRMED_POLL)
    with db.connect() as conn:
        key = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.digest).where(
                tables.transactions.c.signature == created.signature
            )
        ).one()
    run_in_transaction(db, lambda conn: orphan_readings(conn, [tuple(key)], PROGRAM))
    with db.connect() as conn:
        assert markets.get(conn, market_id) is None
        last = stream.read_after(conn, 0)[-1]
    assert (last.type, last.payload["action"]) == ("market_state", "deleted")


def test_finalized_rows_are_never_withdrawn(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    chain.create(1)
    feed(chain.told, "finalized", Source.FINALIZED_WINDOW)
    with db.connect() as conn:
        keys = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.digest)
        ).all()
    result = run_in_transaction(
        db, lambda conn: orphan_readings(conn, [tuple(key) for key in keys], PROGRAM)
    )
    assert result.orphaned == 0
    assert differences(db, chain) == []


def test_webhooks_speak_of_our_program_only(db: Engine, feed: Feed) -> None:
    told = base58.encode(signature(9))
    foreign = RawTransaction(told, 5, 0, 1, None, 5000, ["Program X invoke [1]"], [])
    assert feed([foreign], "reported", Source.WEBHOOK).ignored == 1
    with db.connect() as conn:
        assert health.ledger_lag(conn).transactions == 0


def test_one_poisoned_event_keeps_nobody_waiting(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    first = chain.create(1)
    chain.create(2)
    poison = chain.told[1]
    bad = msgspec.structs.replace(
        poison,
        signature_text=base58.encode(signature("poison")),
        logs=[
            f"Program {PROGRAM} invoke [1]",
            "Program data: AQIDBAUGBwg=",
            f"Program {PROGRAM} success",
        ],
    )
    result = feed([*chain.told, bad])
    assert result.quarantined == 1
    assert differences(db, chain) == []
    with db.connect() as conn:
        (line,) = health.quarantined(conn)
        (gap,) = health.gaps(conn)
        found = markets.get(conn, first)
    assert line.raw == bytes(range(1, 9))
    assert gap.kind == "incomplete"
    assert found is not None


def test_numbers_too_large_for_the_program_stay_out(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    feed(chain.told)
    real = chain.buy(market_id, chain.users[1])
    most = 2**64 - 1
    lies = [
        SharesBought(market_id, bytes(chain.users[2]), True, most, most, most, chain.now),
        SharesBought(market_id, bytes(chain.users[2]), True, most, most, 5, 2**63 - 1),
        SharesBought(market_id, bytes(chain.users[2]), True, most, most, 5, -(2**63)),
    ]
    for number, lie in enumerate(lies):
        told = msgspec.structs.replace(
            real,
            signature_text=base58.encode(signature("lie", number)),
            logs=logs_of([lie]),
            index_in_block=number,
        )
        feed([told], "reported", Source.WEBHOOK)
    with db.connect() as conn:
        assert [gap.kind for gap in health.gaps(conn)] == ["inapplicable"] * 3
        assert trades.find(conn, market_id=market_id) == []


def test_what_comes_before_its_time_is_told_when_it_finds_its_place(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    liked = chain.send(
        ix.submit_proposal_vote(PROGRAM, user=chain.users[2], market=address(market_id), vote=True)
    )
    chain.open(market_id)
    bought = chain.buy(market_id, chain.users[1])
    for told in (bought, liked):
        feed([told], "reported", Source.WEBHOOK)
    with db.connect() as conn:
        assert stream.head(conn) == 0
    # Again in one go, as a poll would: what came early is not among what is new.
    feed([one for one in chain.told if one not in (bought, liked)], "confirmed")
    feed(chain.told)
    with db.connect() as conn:
        frames = stream.read_after(conn, 0)
    assert [one.payload["user"] for one in frames if one.type == "trade"] == [str(chain.users[1])]
    assert [one.payload["user"] for one in frames if one.type == "vote"] == [str(chain.users[2])]
    assert differences(db, chain) == []
