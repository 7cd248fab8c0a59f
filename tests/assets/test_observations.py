"""The cursor of external_writes_sensor: nothing is skipped, nothing is reported twice."""

import time

from sqlalchemy import Engine, null

from tests.assets.rows import add_event, add_transaction, market_id
from zmart_pipelines.store.queries.committed_changes import changes_since, latencies, poll_status


def test_counts_by_name_and_market(owner: Engine) -> None:
    market = market_id()
    with owner.begin() as conn:
        first = add_transaction(conn, slot=7, block_time=int(time.time()) - 3)
        add_event(conn, first, market_id=market)
        add_event(conn, first, log_index=1, name="SharesSold", market_id=market)
        second = add_transaction(conn, slot=9, failed=True)
        add_event(conn, second, name=None, data=null(), quarantine_reason="?", market_id=None)
    with owner.connect() as conn:
        seen = changes_since(conn, 0)
    assert seen.transactions == 2
    assert seen.failed == 1
    assert seen.events == {"SharesBought": 1, "SharesSold": 1, "quarantined": 1}
    assert seen.markets == 1
    assert seen.slot == 9
    assert seen.signatures == (second, first)
    assert seen
    with owner.connect() as conn:
        again = changes_since(conn, seen.until)
    assert not again
    assert again.transactions == 0


def test_late_commit_is_not_skipped(owner: Engine) -> None:
    """Fails with a cursor on the highest id seen: the late row has a lower one."""
    with owner.connect() as slow:
        add_transaction(slow, slot=1)  # takes its transaction id now, commits last
        with owner.begin() as quick:
            add_transaction(quick, slot=2)
        with owner.connect() as reader:
            before = changes_since(reader, 0)
        slow.commit()
    assert before.transactions == 0
    with owner.connect() as reader:
        after = changes_since(reader, before.until)
    assert after.transactions == 2


def test_an_empty_database(owner: Engine) -> None:
    with owner.connect() as conn:
        seen = changes_since(conn, 0)
    assert not seen
    assert seen.latency is None
    assert seen.slot is None


def test_latency_counts_recently_reported_or_polled_transactions(owner: Engine) -> None:
    now = int(time.time())
    with owner.begin() as conn:
        add_transaction(conn, block_time=now - 2, sources=1)
        add_transaction(conn, block_time=now - 5, sources=2 | 4)
        add_transaction(conn, block_time=now - 8, sources=1)
        add_transaction(conn, block_time=now - 900, sources=4)  # read with a finalized window
        add_transaction(conn, block_time=now - 9000, sources=1)  # a history reported late
        add_transaction(conn, block_time=None, sources=1)
        add_transaction(conn, block_time=now - 30, sources=1, commitment="orphaned")
    with owner.connect() as conn:
        (found,) = latencies(conn, seconds=3600, piece=2**40)
        assert poll_status(conn) is None
    assert found.transactions == 3
    assert 5 <= found.median < 7
    assert 8 <= found.worst < 10
