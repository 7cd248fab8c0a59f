"""Cast ballots that arrive together in one transaction, with one answer each.

While one batch is being committed the next one gathers, so a lone ballot does not wait and a
thousand a second share their commits. A ballot is answered only after its commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from api.database import Database, DatabaseBusy
from api.eligibility_cache import EligibilityCache
from api.metrics import BALLOTS
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import markets
from zmart_pipelines.voting import casting
from zmart_pipelines.voting.ballot import BallotRejected, SignedBallot
from zmart_pipelines.voting.cast_results import (
    BallotConflict,
    CastReceipt,
    CastResult,
    VotingClosed,
)

MAX_BATCH = 128
# Ballots that may wait for their batch; more are answered 503.
MAX_PENDING = 4000
# Market keys (id or address) whose id is cached. A key never changes its market.
MAX_CACHED_MARKETS = 10_000


class _PendingBallot(NamedTuple):
    ballot: SignedBallot
    rejection: BallotRejected | None
    answer: asyncio.Future[CastReceipt]


class BallotBatcher:
    """Queues the ballots of one process and casts them in batches."""

    def __init__(
        self, database: Database, eligibility: EligibilityCache, settings: Settings
    ) -> None:
        self._database = database
        self._eligibility = eligibility
        self._settings = settings
        self._pending: deque[_PendingBallot] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._market_ids: dict[bytes, bytes] = {}

    async def cast(self, ballot: SignedBallot) -> CastReceipt:
        """Store the ballot and return once it is committed.

        Args:
            ballot: Its ``market_id`` may be the market's address instead.

        Raises:
            BallotRejected, BallotConflict, VotingClosed: As ``casting.cast``.
            ApiError: 503 when the chain cannot be asked for the wallet's eligibility.
            DatabaseBusy: Too many ballots wait, or there is no answer in time. The ballot may
                be stored or not; the same ballot sent again gets the answer.
        """
        if len(self._pending) >= MAX_PENDING:
            raise DatabaseBusy("too many ballots wait")
        rejection = await self._eligibility.rejection(ballot)
        answer: asyncio.Future[CastReceipt] = asyncio.get_running_loop().create_future()
        self._pending.append(_PendingBallot(ballot, rejection, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._cast_pending())
        try:
            # A ballot that is not in a batch by then is dropped with its answer.
            async with asyncio.timeout(self._settings.api_database_seconds):
                return await answer
        except TimeoutError:
            raise DatabaseBusy("the ballot was not stored in time") from None

    async def _cast_pending(self) -> None:
        """Cast batch after batch until the queue is empty."""
        try:
            while self._pending:
                await self._cast_and_answer(self._next_batch())
        finally:
            self._worker = None
            # The queue holds ballots here only if this task was cancelled.
            for pending in self._pending:
                pending.answer.cancel()

    async def _cast_and_answer(self, batch: list[_PendingBallot]) -> None:
        try:
            results = await self._cast_isolated(batch)
        except Exception as error:
            _fail(batch, error)
        except BaseException:
            _cancel(batch)
            raise
        else:
            self._answer(batch, results)

    def _next_batch(self) -> list[_PendingBallot]:
        """Dequeue the next batch: in order of arrival, at most one ballot per wallet."""
        batch: dict[bytes, _PendingBallot] = {}
        later = []
        while self._pending and len(batch) < MAX_BATCH:
            pending = self._pending.popleft()
            if pending.answer.cancelled():
                continue
            if pending.ballot.wallet in batch:
                later.append(pending)
            else:
                batch[pending.ballot.wallet] = pending
        self._pending.extendleft(reversed(later))
        return list(batch.values())

    async def _cast_isolated(self, batch: Sequence[_PendingBallot]) -> list[CastResult | Exception]:
        """Cast a batch; after a database error that one ballot may cause, one by one."""
        try:
            return [*await self._cast_together(batch)]
        except (OperationalError, InterfaceError):
            raise
        except DBAPIError as error:
            # One ballot's fault must not fail the others.
            if len(batch) == 1:
                return [error]
            results = [await self._cast_isolated([pending]) for pending in batch]
            return [result for (result,) in results]

    async def _cast_together(self, batch: Sequence[_PendingBallot]) -> list[CastResult]:
        rejections = {
            pending.ballot.wallet: pending.rejection
            for pending in batch
            if pending.rejection is not None
        }

        def write(conn: Connection) -> list[CastResult]:
            ballots = self._with_market_ids(conn, [pending.ballot for pending in batch])
            return casting.cast_batch(conn, ballots, self._settings, rejections=rejections)

        return await self._database.cast(write)

    def _with_market_ids(
        self, conn: Connection, ballots: Sequence[SignedBallot]
    ) -> list[SignedBallot]:
        """Replace market addresses in the ballots by market ids."""
        unknown = {ballot.market_id for ballot in ballots} - self._market_ids.keys()
        if unknown:
            if len(self._market_ids) > MAX_CACHED_MARKETS:
                self._market_ids.clear()
            self._market_ids |= markets.ids_of(conn, list(unknown))
        return [
            msgspec.structs.replace(
                ballot, market_id=self._market_ids.get(ballot.market_id, ballot.market_id)
            )
            for ballot in ballots
        ]

    def _answer(
        self, batch: list[_PendingBallot], results: Sequence[CastResult | Exception]
    ) -> None:
        for pending, result in zip(batch, results, strict=True):
            BALLOTS.labels(pending.ballot.kind, _outcome(result)).inc()
            if pending.answer.cancelled():
                continue
            if isinstance(result, CastReceipt):
                pending.answer.set_result(result)
            else:
                pending.answer.set_exception(result)


def _outcome(result: CastResult | Exception) -> str:
    """Return how a ballot was answered: stored, repeated, refused or failed."""
    if isinstance(result, CastReceipt):
        return "repeated" if result.repeated else "stored"
    refusals = (BallotRejected, BallotConflict, VotingClosed)
    return "refused" if isinstance(result, refusals) else "failed"


def _fail(batch: list[_PendingBallot], error: Exception) -> None:
    for pending in batch:
        if not pending.answer.done():
            pending.answer.set_exception(error)


def _cancel(batch: list[_PendingBallot]) -> None:
    for pending in batch:
        pending.answer.cancel()
