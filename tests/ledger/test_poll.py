"""Reading a real local chain: complete, current, and corrected after forks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from solders.signature import Signature
from sqlalchemy import Engine, select, update

from tests.fixtures.localnet import Localnet
from tests.ledger.onchain import Stage
from tests.ledger.recorded import PROGRAM, SOL, key, logs_of, signature
from zmart_pipelines.chain.reader import ChainReader
from zmart_pipelines.chain.rpc import RpcClient, RpcError, SignatureInfo
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ledger import finality, rebuild
from zmart_pipelines.ledger.ingest import ingest
from zmart_pipelines.ledger.poll import poll_confirmed, read_finalized_window, retry_gaps
from zmart_pipelines.ledger.reading import list_window
from zmart_pipelines.ledger.reconcile import compare
from zmart_pipelines.ledger.sources import Commitment, Source
from zmart_pipelines.program.events import SharesBought
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import health, markets, trades
from zmart_pipelines.store.tables import chain as tables


@pytest.fixture
def stage(localnet: Localnet) -> Stage:
    return Stage(localnet)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.model_validate({"redis_url": redis_url, "poll_page_size": 12})


def listed(chain: Localnet) -> set[str]:
    """Every signature of the program that the node holds at finalized, by its own listing."""
    rows: list[dict[str, Any]] = []
    before: str | None = None
    while True:
        options = {"commitment": "finalized", "limit": 1000, "before": before}
        page = chain.result("getSignaturesForAddress", str(PROGRAM), options)
        rows += page
        if len(page) < 1000:
            return {row["signature"] for row in rows}
        before = page[-1]["signature"]


def stored(db: Engine, *levels: str) -> set[str]:
    with db.connect() as conn:
        found = conn.execute(
            select(tables.transactions.c.signature).where(
                tables.transactions.c.commitment.in_(levels)
            )
        ).scalars()
        return {str(Signature(one)) for one in found}


def agrees(db: Engine, stage: Stage) -> None:
    """The projection is the fold of the ledger, and both are what the accounts say."""
    report = compare(db, ChainReader(stage.rpc, PROGRAM))
    assert report.differences == ()
    assert report.markets == len(stage.market_ids)
    with db.connect() as conn:
        assert rebuild.verify(conn, PROGRAM) == []


def test_the_polls_alone_bring_everything(db: Engine, stage: Stage, settings: Settings) -> None:
    for number in (1, 2):
        stage.open(stage.create(number))
    signatures = stage.trade_at_random(random.Random(1), 25)
    with pytest.raises(RpcError):
        stage.buy(stage.market_ids[0], cost=1)  # refused at preflight, never lands
    stage.step()
    poll = poll_confirmed(db, stage.rpc, settings, seconds=30)
    assert poll.complete
    assert {str(Signature(one)) for one in signatures} <= stored(db, "confirmed")
    assert poll_confirmed(db, stage.rpc, settings, seconds=30).fetched == 0
    stage.chain.control.finalize()
    window = read_finalized_window(db, stage.rpc, settings)
    assert (window.first_slot, window.gaps, window.holes) == (0, 0, 0)
    assert stored(db, "finalized") == listed(stage.chain)
    assert stored(db, "reported", "confirmed", "orphaned") == set()
    agrees(db, stage)
    with db.connect() as conn:
        (covered,) = health.coverage(conn)
        lag = health.ledger_lag(conn)
    assert (covered.first_slot, covered.last_slot) == (0, window.last_slot)
    assert lag.finalized_slot == window.last_slot
    assert lag.confirmed_slot is not None


def test_windows_join_and_repeat_without_trace(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    stage.open(stage.create(1))
    dice = random.Random(2)
    new = 0
    for _ in range(4):
        stage.trade_at_random(dice, 6)
        stage.chain.control.finalize()
        window = read_finalized_window(db, stage.rpc, settings)
        new += window.result.new_transactions
        again = read_finalized_window(db, stage.rpc, settings)
        assert (again.fetched, again.result.new_transactions) == (0, 0)
    assert stored(db, "finalized") == listed(stage.chain)
    assert new == len(listed(stage.chain))
    with db.connect() as conn:
        assert len(health.coverage(conn)) == 1
    agrees(db, stage)


def test_a_crash_between_rows_and_coverage_is_read_again(
    db: Engine, stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.create(1)
    stage.chain.control.finalize()

    def crash(*_args: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(finality, "withdraw_absent", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            read_finalized_window(db, stage.rpc, settings)
    with db.connect() as conn:
        assert health.coverage(conn) == []
    assert read_finalized_window(db, stage.rpc, settings).result.new_transactions == 0
    agrees(db, stage)


class Flaky(RpcClient):
    """A node that lists transactions but does not have all of them."""

    missing: frozenset[bytes] = frozenset()

    def transaction(self, signature: bytes, commitment: Any) -> bytes | None:
        return None if signature in self.missing else super().transaction(signature, commitment)


def test_a_listed_transaction_that_is_not_there_is_a_gap_until_it_is(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    stage.open(stage.create(1))
    lost = stage.buy(stage.market_ids[0])
    stage.step()
    stage.buy(stage.market_ids[0], user=1)
    stage.chain.control.finalize()
    flaky = Flaky(stage.chain.rpc_url, 10.0)
    flaky.missing = frozenset({lost})
    window = read_finalized_window(db, flaky, settings)
    assert window.gaps == 1
    with db.connect() as conn:
        (gap,) = health.gaps(conn)
    assert (gap.signature, gap.kind) == (lost, "unread")
    report = compare(db, ChainReader(stage.rpc, PROGRAM))
    assert {one.class_ for one in report.serious} == {"missing_event"}
    # Still not there: the gap stays, is counted, and waits longer each time.
    assert retry_gaps(db, flaky, settings) == 0
    with db.begin() as conn:
        (gap,) = health.gaps(conn)
        assert gap.attempts == 1
    assert {one.class_ for one in compare(db, ChainReader(stage.rpc, PROGRAM)).serious} == {"drift"}
    # While the market moves on, nothing is said for certain.
    stage.buy(stage.market_ids[0], user=2)
    stage.step(2)
    poll_confirmed(db, flaky, settings, seconds=30)
    report = compare(
        db,
        ChainReader(stage.rpc, PROGRAM),
        catch_up=lambda: read_finalized_window(db, flaky, settings),
    )
    assert {one.class_ for one in report.differences} == {"in_motion"}
    assert report.serious == ()
    with db.begin() as conn:
        (gap,) = health.gaps(conn)
        assert gap.retry_at > gap.opened_at
        conn.execute(update(tables.gaps).values(retry_at=tables.gaps.c.opened_at))
    stage.chain.control.finalize()
    healed = read_finalized_window(db, stage.rpc, settings)
    assert healed.gaps_closed == 1
    agrees(db, stage)
    with db.connect() as conn:
        assert health.gaps(conn) == []
        assert health.differences(conn) == []


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_a_fork_is_undone_and_told(
    db: Engine, stage: Stage, settings: Settings, depth: int
) -> None:
    stage.open(stage.create(1))
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    for number in range(depth):
        stage.buy(stage.market_ids[0], user=number % 3, cost=SOL + number)
        stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    confirmed = stored(db, "confirmed")
    assert confirmed
    with db.connect() as conn:
        head = stream.head(conn)
    everything = stored(db, "confirmed", "finalized")
    kept = sorted(confirmed)[::2]
    dropped = stage.chain.control.fork(depth, kept)
    stage.step(12)
    stage.chain.control.finalize()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    read_finalized_window(db, stage.rpc, settings)
    assert stored(db, "finalized") == listed(stage.chain)
    assert stored(db, "reported", "confirmed") == set()
    gone = everything - listed(stage.chain)
    assert bool(gone) == (depth > 1)
    assert gone <= set(dropped)
    assert gone <= stored(db, "orphaned")
    agrees(db, stage)
    if gone:
        with db.connect() as conn:
            told = [
                one.payload["correction"]["orphaned"]
                for one in stream.read_after(conn, head)
                if "correction" in one.payload
            ]
        assert gone <= {signature_ for batch in told for signature_ in batch}


def test_the_confirmed_poll_follows_a_transaction_to_its_new_slot(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    stage.open(stage.create(1))
    for number in range(3):
        stage.buy(stage.market_ids[0], user=number)
        stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    before = stage.rpc.slot("confirmed")
    stage.chain.control.fork(3, None)
    stage.step(2)
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    rows = stage.chain.result("getSignaturesForAddress", str(PROGRAM), {"commitment": "confirmed"})
    with db.connect() as conn:
        held = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.slot).where(
                tables.transactions.c.commitment == "confirmed"
            )
        ).all()
    slots = {str(Signature(row.signature)): row.slot for row in held}
    assert {row["signature"]: row["slot"] for row in rows}.items() <= slots.items()
    assert max(slots.values()) > before


def test_a_webhooks_word_is_checked_after_its_time(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    bought = stage.buy(market_id)
    stage.step()
    raw = stage.rpc.transaction(bought, "confirmed")
    assert raw is not None
    true = from_rpc(raw, PROGRAM)
    with db.connect() as conn:
        market = markets.get(conn, market_id)
    assert market is not None
    lie = SharesBought(market_id, bytes(key("liar")), True, 5, SOL, 500_000_000, 1_800_000_000)
    invented = [
        msgspec.structs.replace(
            true, signature=signature("lie", slot), slot=slot, logs=logs_of([lie])
        )
        for slot in (market.as_of_slot, true.slot, 2**62)
    ]
    ingest(
        db,
        [true, *invented],
        source=Source.WEBHOOK,
        commitment=Commitment.REPORTED,
        program=PROGRAM,
    )
    result, looked_up = finality.settle_reported(db, stage.rpc, settings)
    assert looked_up == 0  # too young
    result, looked_up = finality.settle_reported(
        db, stage.rpc, settings, patience=timedelta(seconds=0)
    )
    assert looked_up == 4
    # The true one climbs; lies about covered slots and about the future go; the one about a
    # slot that is not proved yet waits for its window.
    assert (result.climbed, result.orphaned) == (1, 2)
    assert len(stored(db, "reported")) == 1
    stage.chain.control.finalize()
    window = read_finalized_window(db, stage.rpc, settings)
    assert window.result.orphaned == 1
    assert stored(db, "finalized") == listed(stage.chain)
    agrees(db, stage)
    with db.connect() as conn:
        assert [one.signature for one in trades.find(conn, market_id=market_id)] == [bought]


def test_reconciliation_sees_what_is_wrong_and_forgets_what_is_mended(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    stage.buy(market_id)
    stage.chain.control.finalize()
    reader = ChainReader(stage.rpc, PROGRAM)
    first = compare(db, reader)
    assert {one.class_ for one in first.differences} == {"lag"}  # nothing is covered yet
    read_finalized_window(db, stage.rpc, settings)
    agrees(db, stage)
    stage.buy(market_id, user=1)
    stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    # The trade is confirmed, not finalized: as of the accounts' slot nothing differs.
    assert compare(db, reader).differences == ()
    with db.begin() as conn:
        conn.exec_driver_sql("UPDATE market.markets SET total_volume = total_volume + 1")
    assert compare(db, reader).differences == ()  # that row is of a later slot
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    report = compare(db, reader)
    (found,) = report.serious
    assert (found.difference.field, found.class_, found.seen) == (
        "total_volume",
        "missing_event",
        1,
    )
    assert compare(db, reader).serious[0].class_ == "drift"
    with db.connect() as conn:
        (kept,) = health.differences(conn)
        assert (kept.class_, kept.seen) == ("drift", 2)
        assert len(rebuild.verify(conn, PROGRAM)) == 1
    assert rebuild.rebuild(db, PROGRAM).changed == (market_id,)
    agrees(db, stage)
    with db.connect() as conn:
        assert health.differences(conn) == []


@pytest.mark.parametrize("harmless", [True, False])
def test_a_cut_log_is_settled_by_the_accounts(
    db: Engine, stage: Stage, settings: Settings, harmless: bool
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    bought = stage.buy(market_id)
    stage.chain.control.finalize()
    raw = stage.rpc.transaction(bought, "finalized")
    assert raw is not None
    true = from_rpc(raw, PROGRAM)
    data = next(number for number, line in enumerate(true.logs) if "Program data:" in line)
    kept = true.logs if harmless else true.logs[:data]
    cut = msgspec.structs.replace(true, logs=[*kept, "Log truncated"])
    ingest(
        db,
        [cut],
        source=Source.FINALIZED_WINDOW,
        commitment=Commitment.FINALIZED,
        program=PROGRAM,
    )
    report = compare(
        db,
        ChainReader(stage.rpc, PROGRAM),
        catch_up=lambda: read_finalized_window(db, stage.rpc, settings),
    )
    with db.connect() as conn:
        gaps = [one.kind for one in health.gaps(conn)]
    if harmless:
        assert (report.differences, gaps) == ((), [])
    else:
        assert {one.class_ for one in report.differences} == {"missing_event"}
        assert gaps == ["incomplete"]


def test_catching_up_leaves_no_lag(db: Engine, stage: Stage, settings: Settings) -> None:
    stage.open(stage.create(1))
    stage.buy(stage.market_ids[0])
    stage.chain.control.finalize()
    reader = ChainReader(stage.rpc, PROGRAM)
    report = compare(db, reader, catch_up=lambda: read_finalized_window(db, stage.rpc, settings))
    assert report.differences == ()
    assert report.covered_slot is not None
    assert report.covered_slot >= report.market_slot


class Paged:
    """A node's listing; with dice, in another order inside a slot at each call."""

    def __init__(self, rows: Sequence[SignatureInfo], dice: random.Random | None = None) -> None:
        self.rows = list(rows)
        self.dice = dice

    def signatures_for_address(
        self, _address: object, *, before: bytes | None, limit: int, **_options: object
    ) -> list[SignatureInfo]:
        if self.dice is not None:
            self.dice.shuffle(self.rows)
            self.rows.sort(key=lambda row: -row.slot)
        start = 0
        if before is not None:
            start = 1 + [row.signature for row in self.rows].index(before)
        return self.rows[start : start + limit]


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 1000])
def test_windows_are_whole_at_every_page_edge(page_size: int) -> None:
    dice = random.Random(page_size)
    rows = [
        SignatureInfo(signature(slot, place), slot, None, None, None, "finalized")
        for slot in range(60, 0, -1)
        for place in range(dice.choice((0, 1, 1, 2, 4)))
    ]
    node: Any = Paged(rows)
    found, closed = list_window(
        node,
        PROGRAM,
        first_slot=20,
        commitment="finalized",
        min_context_slot=60,
        page_size=page_size,
    )
    assert closed
    assert {row.signature for row in found} == {row.signature for row in rows if row.slot >= 20}
    assert [row.slot for row in found] == sorted(row.slot for row in found)
    _, closed = list_window(
        node,
        PROGRAM,
        first_slot=1,
        commitment="finalized",
        min_context_slot=60,
        page_size=page_size,
        max_pages=1,
    )
    assert closed == (page_size == 1000)


@pytest.mark.parametrize("page_size", [5, 6, 9])
def test_the_order_inside_a_slot_may_change_between_pages(page_size: int) -> None:
    dice = random.Random(page_size)
    rows = [
        SignatureInfo(signature(slot, place), slot, None, None, None, "finalized")
        for slot in range(60, 0, -1)
        for place in range(dice.choice((1, 2, 3, 4)))
    ]
    for seed in range(50):
        node: Any = Paged(rows, random.Random(seed))
        found, closed = list_window(
            node,
            PROGRAM,
            first_slot=1,
            commitment="finalized",
            min_context_slot=60,
            page_size=page_size,
        )
        assert closed
        assert {row.signature for row in found} == {row.signature for row in rows}
