"""Rebuilding and decoding again from the ledger alone."""

from __future__ import annotations

from base64 import b64encode

import msgspec
import pytest
from sqlalchemy import Engine, func, insert, select, text

from tests.ledger.conftest import Feed, differences, hashes
from tests.ledger.recorded_rpc import PROGRAM, Recorder, history
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.audit.redecode import redecode_quarantined
from zmart_pipelines.ledger.model import decode as decoder
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.events import decode_event
from zmart_pipelines.store.queries import health, market_counts
from zmart_pipelines.store.tables.market import markets

PROJECTION = (
    "positions",
    "trades",
    "claims",
    "chain_votes",
    "withdrawals",
    "markets",
    "config_history",
)


def test_deleted_projection_is_rebuilt(db: Engine, feed: Feed) -> None:
    chain = history(21, 250)
    feed(chain.transactions)
    before = hashes(db, chain)
    with db.begin() as conn:
        for table in PROJECTION:
            conn.execute(text(f"DELETE FROM market.{table}"))
    steps: list[tuple[int, int]] = []
    report = rebuild.rebuild_projection(
        db, PROGRAM, progress=lambda done, total: steps.append((done, total))
    )
    assert report.hashes == before
    assert set(report.changed) == set(before)
    assert steps[-1] == (len(before), len(before))
    assert hashes(db, chain) == before
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert market_counts.differences(conn) == []
    again = rebuild.rebuild_projection(db, PROGRAM)
    assert again.changed == ()
    assert again.events == report.events


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE market.markets SET current_liquidity = current_liquidity + 1",
        "DELETE FROM market.trades",
        "UPDATE market.positions SET shares_yes = shares_yes + 1",
        "UPDATE market.trades SET price_yes = price_yes + 1",
        "DELETE FROM market.chain_votes",
    ],
)
def test_damage_is_detected_and_rebuilt(db: Engine, feed: Feed, damage: str) -> None:
    chain = history(22, 250)
    feed(chain.transactions)
    sound = hashes(db, chain)
    with db.begin() as conn:
        assert conn.execute(text(damage)).rowcount > 0
    with db.connect() as conn:
        broken = rebuild.verify_projection(conn, PROGRAM)
    assert broken
    assert set(rebuild.rebuild_projection(db, PROGRAM).changed) == {one.market_id for one in broken}
    assert hashes(db, chain) == sound


def test_damaged_configuration_is_detected_and_rebuilt(db: Engine, feed: Feed) -> None:
    chain = history(23, 200)
    feed(chain.transactions)
    sound = hashes(db, chain)
    with db.begin() as conn:
        conn.execute(text("UPDATE market.config_history SET protocol_fee_bps = 1"))
    with db.connect() as conn:
        assert [one.market_id for one in rebuild.verify_projection(conn, PROGRAM)] == [None]
    rebuild.rebuild_projection(db, PROGRAM)
    with db.connect() as conn:
        assert rebuild.verify_projection(conn, PROGRAM) == []
    assert hashes(db, chain) == sound


def test_market_without_events_is_removed(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    feed(chain.transactions)
    columns = [one.name for one in markets.columns if one.name not in ("market_id", "address")]
    with db.begin() as conn:
        conn.execute(
            insert(markets).from_select(
                ["market_id", "address", *columns],
                select(
                    func.sha256(b"ghost"), func.sha256(b"x"), *(markets.c[name] for name in columns)
                ),
            )
        )
        conn.execute(markets.delete().where(markets.c.market_id == market_id))
    assert len(rebuild.rebuild_projection(db, PROGRAM).changed) == 2
    assert set(hashes(db, chain)) == {market_id}
    with db.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM market.markets")).scalar_one() == 1


def test_redecoded_events_are_projected(
    db: Engine, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    chain.configure((100, 50, 150))
    chain.advance()
    chain.buy(market_id, chain.users[2])

    def faulty(raw: bytes) -> object:
        event = decode_event(raw)
        if type(event).__name__ in ("SharesBought", "ConfigUpdated"):
            raise DecodeError("this build cannot read it")
        return event

    with monkeypatch.context() as patch:
        patch.setattr(decoder, "decode_event", faulty)
        assert feed(chain.transactions).quarantined == 4
        with db.connect() as conn:
            assert len(health.quarantined(conn)) == 4
        nothing = redecode_quarantined(db, PROGRAM)
        assert (nothing.quarantined, nothing.decoded) == (4, 0)
    report = redecode_quarantined(db, PROGRAM)
    assert (report.quarantined, report.decoded) == (4, 4)
    assert report.markets == {market_id}
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert health.quarantined(conn) == []
        assert health.gaps(conn) == []
    assert redecode_quarantined(db, PROGRAM).quarantined == 0


def test_raw_log_lines_are_stored_unchanged(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    chain.create(1)
    feed(chain.transactions)
    with db.connect() as conn:
        kept = [
            msgspec.json.decode(logs)
            for (logs,) in conn.execute(text("SELECT logs FROM chain.transactions ORDER BY slot"))
        ]
        raws = conn.execute(text("SELECT raw FROM chain.events")).scalars().all()
    assert kept == [one.logs for one in chain.transactions]
    lines = {line for one in chain.transactions for line in one.logs}
    assert {f"Program data: {b64encode(raw).decode()}" for raw in raws} <= lines
