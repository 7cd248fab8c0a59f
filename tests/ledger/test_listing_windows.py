"""Listings in pages and windows: complete or refused, whatever the node does."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, select

from tests.fixtures.ledger import ingest_committed
from tests.ledger.listings import Paged, some_rows
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.ledger.recorded_rpc import PROGRAM, SOL
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import ContradictoryListing, ListingAnchor
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import finalized_window
from zmart_pipelines.ledger.readers import listing_windows as module
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.ledger.readers.listing_windows import ListingWindow, iter_windows
from zmart_pipelines.ledger.readers.rpc_reader import list_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain as tables


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 1000])
def test_listing_is_complete_at_every_page_size(page_size: int) -> None:
    dice = random.Random(page_size)
    rows = some_rows(dice)
    node: Any = Paged(rows)
    found, closed, _ = list_window(
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
    _, closed, _ = list_window(
        node,
        PROGRAM,
        first_slot=20,
        commitment="finalized",
        min_context_slot=60,
        page_size=page_size,
        max_pages=1,
    )
    assert closed == (page_size == 1000)


@pytest.mark.parametrize("page_size", [5, 6, 9])
def test_listing_is_complete_if_order_inside_slots_changes(page_size: int) -> None:
    dice = random.Random(page_size)
    rows = some_rows(dice)
    for seed in range(50):
        node: Any = Paged(rows, random.Random(seed))
        found, closed, _ = list_window(
            node,
            PROGRAM,
            first_slot=1,
            commitment="finalized",
            min_context_slot=60,
            page_size=page_size,
        )
        assert closed
        assert {row.signature for row in found} == {row.signature for row in rows}


def cut(node: Paged, page_size: int, first: int = 1, last: int = 60) -> list[ListingWindow]:
    rpc: Any = node
    return list(
        iter_windows(rpc, PROGRAM, first_slot=first, last_slot=last, tip=60, page_size=page_size)
    )


@pytest.mark.parametrize("pages", [1, 2, 5])
@pytest.mark.parametrize("page_size", [5, 7, 16, 1000])
def test_windows_are_adjacent_and_contain_everything_once(
    monkeypatch: pytest.MonkeyPatch, page_size: int, pages: int
) -> None:
    monkeypatch.setattr(module, "PAGES_PER_WINDOW", pages)
    for seed in range(40):
        dice = random.Random(seed)
        rows = some_rows(dice)
        first, last = sorted((dice.randint(0, 60), dice.randint(0, 60)))
        found = cut(Paged(rows, dice), page_size, first, last)
        assert (found[0].first_slot, found[-1].last_slot) == (first, last)
        for one, following in itertools.pairwise(found):
            assert one.last_slot + 1 == following.first_slot
        for one in found:
            assert {row.signature for row in one.rows} == {
                row.signature for row in rows if one.first_slot <= row.slot <= one.last_slot
            }
            # At most the pages of one window, and the rest of its last slot.
            assert len(one.rows) <= pages * page_size + 4
        if last - first > 50 and page_size * pages < 16:
            assert len(found) > 2


def test_short_listing_needs_one_page() -> None:
    rows = some_rows(random.Random(1))
    node = Paged(rows)
    (only,) = cut(node, len(rows) + 1)
    # The second and the third page show that nothing follows.
    assert (node.calls, len(only.rows)) == (3, len(rows))


def test_pruned_history_is_not_covered() -> None:
    node = Paged(some_rows(random.Random(2)), begins=31)
    found = cut(node, 7)
    assert (found[0].first_slot, found[-1].last_slot) == (31, 60)
    assert cut(node, 7, first=40)[0].first_slot == 40
    assert cut(node, 1000, last=20) == []


def test_node_that_does_not_know_the_anchor_is_refused() -> None:
    rows = some_rows(random.Random(3))

    class Changing(Paged):
        """A pool of nodes: after the first page, one without the history answers."""

        def signatures_for_address(self, *args: Any, **options: Any) -> list[SignatureInfo]:
            if self.calls == 1:
                self.rows = self.rows[:3]
            return super().signatures_for_address(*args, **options)

    with pytest.raises(ContradictoryListing):
        cut(Changing(rows), 9)
    node: Any = Changing(rows)
    with pytest.raises(ContradictoryListing):
        list_window(
            node, PROGRAM, first_slot=1, commitment="finalized", min_context_slot=60, page_size=9
        )
    elsewhere: Any = Paged(rows)
    with pytest.raises(ContradictoryListing):
        list(
            iter_windows(
                elsewhere,
                PROGRAM,
                first_slot=1,
                last_slot=40,
                tip=60,
                page_size=9,
                anchor=ListingAnchor(b"unknown", 50),
            )
        )


def test_long_history_is_covered_window_by_window(
    db: Engine, stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES_PER_WINDOW", 1)
    stage.open(stage.create(1))
    stage.trade_at_random(random.Random(5), 60)
    stage.chain.control.finalize()
    original, done = finalized_window._read_window, 0

    def dies(*args: Any) -> Any:
        nonlocal done
        done += 1
        if done == 3:
            raise RuntimeError("power cut")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(finalized_window, "_read_window", dies)
        with pytest.raises(RuntimeError, match="power cut"):
            read_finalized_window(db, stage.rpc, settings)
    with db.connect() as conn:
        (reached,) = conn.execute(select(tables.coverage.c.slots)).scalars()
        cursor = conn.execute(
            select(tables.cursors.c.slot).where(tables.cursors.c.name == "finalized")
        ).scalar_one()
    held = stored(db, "finalized")
    assert (reached.lower, reached.upper) == (0, cursor + 1)
    assert 0 < len(held) < len(listed(stage.chain))
    report = read_finalized_window(db, stage.rpc, settings)
    assert report.fetched == len(listed(stage.chain)) - len(held)
    assert (report.gaps, report.uncovered_ranges) == (0, 0)
    assert stored(db, "finalized") == listed(stage.chain)
    assert_ledger_matches_chain(db, stage)


@pytest.fixture
def counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The signatures that were read from the node."""
    asked: list[bytes] = []
    original = stage.rpc.transaction_answers

    def spy(signature: bytes, commitment: Any) -> Iterator[bytes]:
        asked.append(signature)
        return original(signature, commitment)

    monkeypatch.setattr(stage.rpc, "transaction_answers", spy)
    yield asked
    asked.clear()


def test_transactions_read_at_confirmed_are_reused(
    db: Engine, stage: Stage, settings: Settings, counted: list[bytes]
) -> None:
    stage.open(stage.create(1))
    bought = stage.trade_at_random(random.Random(6), 10)
    stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    assert set(bought) <= set(counted)
    counted.clear()
    stage.chain.control.finalize()
    report = read_finalized_window(db, stage.rpc, settings)
    assert (report.reused, counted) == (report.listed, [])
    assert stored(db, "finalized") == listed(stage.chain)
    assert_ledger_matches_chain(db, stage)


def test_moved_or_only_reported_transactions_are_read_again(
    db: Engine, stage: Stage, settings: Settings, counted: list[bytes]
) -> None:
    stage.blockhashes = "finalized"
    stage.open(stage.create(1))
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    moved = [stage.buy(stage.market_ids[0], user=n, cost=SOL + n) for n in range(3)]
    stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    stage.chain.control.fork(1, None)
    reported = stage.buy(stage.market_ids[0])
    stage.step(2)
    raw = stage.rpc.transaction(reported, "confirmed")
    assert raw is not None
    ingest_committed(
        db,
        [from_rpc(raw, PROGRAM)],
        source=Source.WEBHOOK,
        commitment=Commitment.REPORTED,
        program=PROGRAM,
    )
    counted.clear()
    stage.chain.control.finalize()
    report = read_finalized_window(db, stage.rpc, settings)
    assert sorted(counted) == sorted([*moved, reported])
    assert report.reused == 0
    assert_ledger_matches_chain(db, stage)


def test_only_slots_passed_without_a_block_are_skipped(
    db: Engine, stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    lost = [stage.buy(market_id, user=n) for n in range(2)]
    stage.step(2)
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    known = stored(db, "confirmed")
    everything = stage.rpc.signatures_for_address

    def late(*args: Any, **options: Any) -> list[SignatureInfo]:
        return [row for row in everything(*args, **options) if row.signature not in lost]

    # The node lists late: the slots exist, so nothing is orphaned.
    with monkeypatch.context() as patch:
        patch.setattr(stage.rpc, "signatures_for_address", late)
        assert poll_confirmed(db, stage.rpc, settings, seconds=30).orphaned == 0
    stage.chain.control.fork(2, [])
    stage.step(2)
    blocks = stage.rpc.blocks
    # A node that lags answers: it proves nothing about slots that it has not reached.
    with monkeypatch.context() as patch:
        patch.setattr(
            stage.rpc, "blocks", lambda first, last, level: blocks(first - 5, first - 1, level)
        )
        assert poll_confirmed(db, stage.rpc, settings, seconds=30).orphaned == 0
    # Without getBlocks the decision is left to the finalized window.
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> list[int]:
            raise RpcError(-32601, "Method not found", method="getBlocks")

        patch.setattr(stage.rpc, "blocks", refuse)
        assert poll_confirmed(db, stage.rpc, settings, seconds=30).orphaned == 0
    assert stored(db, "confirmed") == known
    assert poll_confirmed(db, stage.rpc, settings, seconds=30).orphaned == 2
    assert known - stored(db, "confirmed") == stored(db, "orphaned")
    assert_ledger_matches_chain(db, stage)
