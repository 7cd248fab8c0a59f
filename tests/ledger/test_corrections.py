"""Corrections: false reports, forks, undecodable events."""

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
    """Return a false report of a real transaction, by a sender with a stolen secret."""
    false_event = SharesBought(market_id, bytes(chain.users[4]), False, 10**9, SOL, 1, chain.now)
    return msgspec.structs.replace(real, logs=logs_of([false_event]))


def test_false_report_is_replaced_by_rpc_reading(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    real = chain.buy(market_id, chain.users[1])
    feed(chain.transactions[:-1])
    feed([forged(chain, market_id, real)], "reported", Source.WEBHOOK)
    assert differences(db, chain) != []
    result = feed([real], "confirmed", Source.CONFIRMED_POLL)
    assert (result.orphaned, result.new_transactions) == (1, 1)
    assert differences(db, chain) == []
    # In the opposite order the false report is ignored.
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


def test_false_report_about_another_market_is_corrected_there_too(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    first, second = chain.create(1), chain.create(2)
    chain.open(first)
    chain.open(second)
    real = chain.buy(first, chain.users[1])
    feed(chain.transactions[:-1])
    feed([forged(chain, second, real)], "reported", Source.WEBHOOK)
    result = feed([real], "finalized", Source.FINALIZED_WINDOW)
    assert set(result.markets) == {first, second}
    assert differences(db, chain) == []


def test_transaction_moved_to_another_slot_counts_there(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    bought = chain.buy(market_id, chain.users[1])
    before = msgspec.structs.replace(bought, slot=bought.slot - 1, index_in_block=50)
    feed([*chain.transactions[:-1], before], "confirmed", Source.CONFIRMED_POLL)
    result = feed([bought], "finalized", Source.FINALIZED_WINDOW)
    assert (result.new_transactions, result.orphaned) == (1, 1)
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert [one.slot for one in trades.find_trades(conn, market_id=market_id)] == [bought.slot]


def test_dropped_transaction_is_orphaned_and_may_be_revived(db: Engine, feed: Feed) -> None:
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
        (own, all_, position) = stream.read_after(conn, head)
        assert trades.find_trades(conn, market_id=market_id) == []
    assert own.channel == stream.market_channel(market_id)
    assert all_.channel == stream.MARKETS_CHANNEL
    assert len(own.payload["correction"]["orphaned"]) == 1
    assert position.channel == stream.wallet_channel(bytes(chain.users[1]))
    assert position.payload["correction"] == own.payload["correction"]
    # A webhook cannot revive an orphan; RPC can.
    assert feed([lost], "reported", Source.WEBHOOK).ignored == 1
    assert hashes(db, chain) == kept
    assert feed([lost], "finalized", Source.FINALIZED_WINDOW).promoted == 1
    assert differences(db, chain) == []


def hashes_after(feed: Feed, db: Engine, chain: Recorder) -> dict[bytes, str]:
    feed(chain.transactions)
    return hashes(db, chain)


def test_market_is_removed_if_its_creation_is_orphaned(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    created = chain.transactions[-1]
    feed(chain.transactions, "confirmed", Source.CONFIRMED_POLL)
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


def test_finalized_readings_are_never_orphaned(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    chain.create(1)
    feed(chain.transactions, "finalized", Source.FINALIZED_WINDOW)
    with db.connect() as conn:
        keys = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.digest)
        ).all()
    result = run_in_transaction(
        db, lambda conn: orphan_readings(conn, [tuple(key) for key in keys], PROGRAM)
    )
    assert result.orphaned == 0
    assert differences(db, chain) == []


def test_webhook_reports_of_other_programs_are_ignored(db: Engine, feed: Feed) -> None:
    signature_text = base58.encode(signature(9))
    foreign = RawTransaction(signature_text, 5, 0, 1, None, 5000, ["Program X invoke [1]"], [])
    assert feed([foreign], "reported", Source.WEBHOOK).ignored == 1
    with db.connect() as conn:
        assert health.ledger_lag(conn).transactions == 0


def test_quarantined_event_does_not_block_others(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    first = chain.create(1)
    chain.create(2)
    poison = chain.transactions[1]
    bad = msgspec.structs.replace(
        poison,
        signature_text=base58.encode(signature("poison")),
        logs=[
            f"Program {PROGRAM} invoke [1]",
            "Program data: AQIDBAUGBwg=",
            f"Program {PROGRAM} success",
        ],
    )
    result = feed([*chain.transactions, bad])
    assert result.quarantined == 1
    assert differences(db, chain) == []
    with db.connect() as conn:
        (line,) = health.quarantined(conn)
        (gap,) = health.gaps(conn)
        found = markets.get(conn, first)
    assert line.raw == bytes(range(1, 9))
    assert gap.kind == "incomplete"
    assert found is not None


def test_numbers_out_of_range_are_inapplicable(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    feed(chain.transactions)
    real = chain.buy(market_id, chain.users[1])
    most = 2**64 - 1
    false_events = [
        SharesBought(market_id, bytes(chain.users[2]), True, most, most, most, chain.now),
        SharesBought(market_id, bytes(chain.users[2]), True, most, most, 5, 2**63 - 1),
        SharesBought(market_id, bytes(chain.users[2]), True, most, most, 5, -(2**63)),
    ]
    for number, false_event in enumerate(false_events):
        reported = msgspec.structs.replace(
            real,
            signature_text=base58.encode(signature("false report", number)),
            logs=logs_of([false_event]),
            index_in_block=number,
        )
        feed([reported], "reported", Source.WEBHOOK)
    with db.connect() as conn:
        assert [gap.kind for gap in health.gaps(conn)] == ["inapplicable"] * 3
        assert trades.find_trades(conn, market_id=market_id) == []


def test_early_events_are_announced_when_they_can_be_placed(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    liked = chain.send(
        ix.submit_proposal_vote(PROGRAM, user=chain.users[2], market=address(market_id), vote=True)
    )
    chain.open(market_id)
    bought = chain.buy(market_id, chain.users[1])
    for reported in (bought, liked):
        feed([reported], "reported", Source.WEBHOOK)
    with db.connect() as conn:
        assert stream.head(conn) == 0
    # Ingest everything again at once, like a poll: the early events are not new any more.
    feed([one for one in chain.transactions if one not in (bought, liked)], "confirmed")
    feed(chain.transactions)
    with db.connect() as conn:
        frames = stream.read_after(conn, 0)
    traders = [(one.channel, one.payload["user"]) for one in frames if one.type == "trade"]
    assert traders == [
        (stream.market_channel(market_id), str(chain.users[1])),
        (stream.wallet_channel(bytes(chain.users[1])), str(chain.users[1])),
    ]
    assert [one.payload["user"] for one in frames if one.type == "vote"] == [str(chain.users[2])]
    assert differences(db, chain) == []
