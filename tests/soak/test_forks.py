"""Forks of every length: dropped rows are orphaned, moved ones follow, clients are corrected."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from solders.signature import Signature
from sqlalchemy import Engine, select

from tests.fixtures.localnet import StartLocalnet
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.ledger.recorded_rpc import PROGRAM, SOL, address
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain as tables

LONGEST = 31


@pytest.fixture
def stage(start_localnet: StartLocalnet) -> Iterator[Stage]:
    """A chain whose confirmed slots may all be forked away: none of them is final so soon."""
    made = Stage(start_localnet("--finality-depth", "40"), blockhashes="finalized")
    yield made
    made.rpc.close()


def act(stage: Stage, slots: int, dice: random.Random) -> None:
    """Trades in confirmed slots, one or two in each, and sometimes a proposal."""
    for _ in range(slots):
        if dice.random() < 0.1:
            stage.create(dice.randrange(2**60))
        for _ in range(dice.choice((1, 1, 2))):
            stage.buy(
                dice.choice(stage.market_ids[:3]),
                dice.randrange(len(stage.users)),
                dice.random() < 0.5,
                dice.randrange(SOL // 20, SOL // 2),
            )
        stage.step()


def places(db: Engine) -> dict[str, int]:
    """Where the ledger has what is confirmed and not final."""
    with db.connect() as conn:
        rows = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.slot).where(
                tables.transactions.c.commitment == "confirmed"
            )
        ).all()
    return {str(Signature(row.signature)): row.slot for row in rows}


def confirmed(stage: Stage) -> dict[str, int]:
    """Where the chain has what it lists at confirmed."""
    rows: list[dict[str, Any]] = stage.chain.result(
        "getSignaturesForAddress", str(PROGRAM), {"commitment": "confirmed"}
    )
    return {row["signature"]: row["slot"] for row in rows}


def corrections(db: Engine, head: int) -> dict[str, set[str]]:
    """Return by channel the signatures of corrections after a position."""
    corrected: dict[str, set[str]] = {}
    with db.connect() as conn:
        for frame in stream.read_after(conn, head, 10_000):
            if "correction" in frame.payload:
                corrected.setdefault(frame.channel, set()).update(
                    frame.payload["correction"]["orphaned"]
                )
    return corrected


def test_forks_of_every_length(db: Engine, stage: Stage, settings: Settings) -> None:
    dice = random.Random(31)
    for number in range(3):
        stage.open(stage.create(number))
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    lengths = list(range(1, LONGEST + 1))
    dice.shuffle(lengths)
    dropped_at_all = moved_at_all = 0
    for length in lengths:
        act(stage, length, dice)
        poll_confirmed(db, stage.rpc, settings, seconds=30)
        before = places(db)
        with db.connect() as conn:
            head = stream.head(conn)
        kept = [one for one in before if dice.random() < dice.choice((0, 0.5, 1))]
        lost = set(stage.chain.control.fork(length, kept))
        assert lost <= set(before)
        # The new branch grows past the old one with other actions, and nothing is final.
        act(stage, 2, dice)

        poll_confirmed(db, stage.rpc, settings, seconds=30)
        right = confirmed(stage)
        after = places(db)
        assert {one: right[one] for one in after} == after, f"after a fork of {length}"
        assert not lost & set(after)
        stage.market_ids = [
            one
            for one in stage.market_ids
            if stage.rpc.account(address(one), "confirmed").value is not None
        ]
        moved = {one for one in after if before.get(one, after[one]) != after[one]}
        corrected = corrections(db, head)
        everywhere = corrected.pop(stream.MARKETS_CHANNEL, set())
        assert lost | moved == everywhere == set().union(*corrected.values())
        dropped_at_all += len(lost)
        moved_at_all += len(moved)

        if dice.random() < 0.5:
            stage.chain.control.finalize()
            window = read_finalized_window(db, stage.rpc, settings)
            assert (window.result.orphaned, window.gaps) == (0, 0)
            assert stored(db, "finalized") == listed(stage.chain)
            assert_ledger_matches_chain(db, stage)
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    assert stored(db, "finalized") == listed(stage.chain)
    assert stored(db, "reported", "confirmed") == set()
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        assert len(health.coverage(conn)) == 1
    assert min(dropped_at_all, moved_at_all) > 50
