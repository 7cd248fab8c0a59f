"""Concurrent ballots share transactions and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DataError, OperationalError

from api.ballot_batcher import MAX_BATCH, BallotBatcher
from api.chain import Chain
from api.database import Database
from api.eligibility_cache import EligibilityCache
from tests.api.seed import address_of, market, wallet
from tests.voting.world import ballot
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import voting
from zmart_pipelines.voting import casting
from zmart_pipelines.voting.ballot import BallotRejected, SignedBallot
from zmart_pipelines.voting.cast_results import BallotConflict, CastReceipt, CastResult

ONE, TWO = b"\x11" * 32, b"\x22" * 32


@pytest.fixture
def database(api_settings: Settings, ledger: Engine) -> Iterator[Database]:
    with ledger.begin() as conn:
        market(conn, ONE, state=0)
        market(conn, TWO, state=0)
    made = Database(api_settings)
    yield made
    made.close()


@pytest.fixture
def batcher(database: Database, api_settings: Settings) -> Iterator[BallotBatcher]:
    chain = Chain(api_settings)
    yield BallotBatcher(
        database,
        EligibilityCache(chain, database, api_settings),
        api_settings,
    )
    chain.close()


def together(*work: Awaitable[CastReceipt]) -> list[CastReceipt | BaseException]:
    """The results of ballots that are cast concurrently."""

    async def run() -> list[CastReceipt | BaseException]:
        return await asyncio.gather(*work, return_exceptions=True)

    return asyncio.run(run())


def test_concurrent_ballots_share_transactions(batcher: BallotBatcher, ledger: Engine) -> None:
    ballots = [ballot(TWO if n % 3 else ONE, wallet(n), n % 2 == 0) for n in range(1, 301)]
    answers = together(*(batcher.cast(one) for one in ballots))
    assert all(isinstance(answer, CastReceipt) for answer in answers), answers
    with ledger.connect() as conn:
        stored, transactions = conn.execute(
            select(func.count(), func.count(voting.ballots.c.xid.distinct())).select_from(
                voting.ballots
            )
        ).one()
    assert stored == len(ballots)
    assert len(ballots) / MAX_BATCH <= transactions <= 6


def test_market_may_be_named_by_its_address(batcher: BallotBatcher) -> None:
    address = bytes(Pubkey.from_string(address_of(ONE)))
    signed = [ballot(ONE, wallet(number)) for number in (1, 2)]
    named = [msgspec.structs.replace(one, market_id=address) for one in signed]
    for one in named:
        (answer,) = together(batcher.cast(one))
        assert isinstance(answer, CastReceipt)
        assert answer.ballot.market_id == ONE


def test_concurrent_ballots_of_one_wallet_are_cast_in_order(batcher: BallotBatcher) -> None:
    """A wallet's ballots are cast in their order, one transaction after the other."""
    first = ballot(ONE, wallet(1), True)
    answers = together(
        *(
            batcher.cast(one)
            for one in (first, ballot(ONE, wallet(2)), first, ballot(TWO, wallet(1)))
        ),
        batcher.cast(ballot(ONE, wallet(1), False)),
    )
    assert [type(answer).__name__ for answer in answers] == [*["CastReceipt"] * 4, "BallotConflict"]
    repeat = answers[2]
    assert isinstance(repeat, CastReceipt)
    assert repeat.repeated
    conflict = answers[4]
    assert isinstance(conflict, BallotConflict)
    assert conflict.stored == repeat.ballot


def test_a_fault_of_one_is_not_the_others(
    batcher: BallotBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database error of one ballot leaves the others of its batch stored."""
    real = casting.cast_batch
    poison = wallet(5).pubkey()

    def cast_batch(
        conn: Connection, batch: Sequence[SignedBallot], settings: Settings, **more: Any
    ) -> list[CastResult]:
        if any(one.wallet == bytes(poison) for one in batch):
            raise DataError("statement", {}, Exception("not a value"))
        return real(conn, batch, settings, **more)

    monkeypatch.setattr(casting, "cast_batch", cast_batch)
    answers = together(*(batcher.cast(ballot(ONE, wallet(number))) for number in range(1, 11)))
    assert [isinstance(answer, CastReceipt) for answer in answers] == [n != 5 for n in range(1, 11)]
    assert isinstance(answers[4], DataError)


def test_failed_batch_is_reported_and_later_ballots_are_cast(
    batcher: BallotBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ballot of a failed batch gets the error; later ones are cast."""
    real = casting.cast_batch
    broken = True

    def cast_batch(
        conn: Connection, batch: Sequence[SignedBallot], settings: Settings, **more: Any
    ) -> list[CastResult]:
        if broken:
            raise OperationalError("statement", {}, Exception("gone"))
        return real(conn, batch, settings, **more)

    monkeypatch.setattr(casting, "cast_batch", cast_batch)
    ballots = [ballot(ONE, wallet(number)) for number in range(1, 5)]
    answers = together(*(batcher.cast(one) for one in ballots))
    assert all(isinstance(answer, OperationalError) for answer in answers)
    broken = False
    again = together(*(batcher.cast(one) for one in ballots))
    assert all(isinstance(answer, CastReceipt) and not answer.repeated for answer in again)


def test_cancelled_request_does_not_cancel_others(batcher: BallotBatcher) -> None:
    async def run() -> list[CastReceipt]:
        tasks = [asyncio.create_task(batcher.cast(ballot(ONE, wallet(n)))) for n in range(1, 6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        await asyncio.wait(tasks)
        return [task.result() for task in tasks if not task.cancelled()]

    assert len(asyncio.run(run())) == 3


def test_rejection_concerns_its_ballot_only(batcher: BallotBatcher) -> None:
    bad = msgspec.structs.replace(ballot(ONE, wallet(1)), signature=bytes(64))
    refused, stored = together(batcher.cast(bad), batcher.cast(ballot(ONE, wallet(2))))
    assert isinstance(refused, BallotRejected)
    assert refused.field == "signature"
    assert isinstance(stored, CastReceipt)
