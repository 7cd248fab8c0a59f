"""Ballots that come in together are cast together: one transaction, one answer each.

While one batch is being committed the next one gathers, so a lone ballot waits for nobody
and a thousand a second share their commits. A ballot is answered only after its commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from api.database import Database
from api.eligibility_cache import Standings
from api.realtime.hub import Hub
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import markets
from zmart_pipelines.voting import casting
from zmart_pipelines.voting.ballot import BallotRejected, SignedBallot
from zmart_pipelines.voting.cast_results import CastReceipt, CastResult

MAX_BATCH = 128
# Markets whose id and address are remembered. Both follow from each other for ever.
MAX_KNOWN = 10_000


class _Waiting(NamedTuple):
    ballot: SignedBallot
    rejection: BallotRejected | None
    answer: asyncio.Future[CastReceipt]


class BallotBox:
    """The ballots of one process on their way into the database."""

    def __init__(
        self, database: Database, hub: Hub, standings: Standings, settings: Settings
    ) -> None:
        self._database = database
        self._hub = hub
        self._standings = standings
        self._settings = settings
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None
        self._known: dict[bytes, bytes] = {}

    async def cast(self, ballot: SignedBallot) -> CastReceipt:
        """Stores the ballot; returns once it is committed.

        :param ballot: its ``market_id`` may be the market's address instead.
        :raises BallotRejected, BallotConflict, VotingClosed: as ``casting.cast``; ApiError 503
            when the wallet's standing cannot be asked for.
        """
        rejection = await self._standings.rejection(ballot)
        answer: asyncio.Future[CastReceipt] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(ballot, rejection, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Casts batch after batch until nobody waits."""
        try:
            while self._waiting:
                batch = self._take()
                try:
                    outcomes = await self._cast(batch)
                except BaseException as error:
                    _fail(batch, error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    self._tell(batch, outcomes)
        finally:
            self._working = None
            # Only where this task was cancelled does anyone wait here.
            for one in self._waiting:
                one.answer.cancel()

    def _take(self) -> list[_Waiting]:
        """The next batch: in order of arrival, one ballot of a wallet."""
        batch: dict[bytes, _Waiting] = {}
        later = []
        while self._waiting and len(batch) < MAX_BATCH:
            one = self._waiting.popleft()
            if one.answer.cancelled():
                continue
            if one.ballot.wallet in batch:
                later.append(one)
            else:
                batch[one.ballot.wallet] = one
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    async def _cast(self, batch: Sequence[_Waiting]) -> list[CastResult | Exception]:
        try:
            return [*await self._together(batch)]
        except (OperationalError, InterfaceError):
            raise
        except DBAPIError as error:
            # A fault that one of them causes must not become the others'.
            if len(batch) == 1:
                return [error]
            alone = [await self._cast([one]) for one in batch]
            return [outcome for (outcome,) in alone]

    async def _together(self, batch: Sequence[_Waiting]) -> list[CastResult]:
        rejections = {
            one.ballot.wallet: one.rejection for one in batch if one.rejection is not None
        }

        def write(conn: Connection) -> list[CastResult]:
            ballots = self._with_market_ids(conn, [one.ballot for one in batch])
            return casting.cast_batch(conn, ballots, self._settings, rejections=rejections)

        return await self._database.cast(write)

    def _with_market_ids(
        self, conn: Connection, ballots: Sequence[SignedBallot]
    ) -> list[SignedBallot]:
        """The ballots with their markets' ids where they had the address."""
        unknown = {ballot.market_id for ballot in ballots} - self._known.keys()
        if unknown:
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            self._known |= markets.ids_of(conn, list(unknown))
        return [
            msgspec.structs.replace(
                ballot, market_id=self._known.get(ballot.market_id, ballot.market_id)
            )
            for ballot in ballots
        ]

    def _tell(self, batch: list[_Waiting], outcomes: Sequence[CastResult | Exception]) -> None:
        positions: list[int] = []
        for one, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, CastReceipt):
                positions += outcome.positions
            if one.answer.cancelled():
                continue
            if isinstance(outcome, CastReceipt):
                one.answer.set_result(outcome)
            else:
                one.answer.set_exception(outcome)
        self._hub.announce(positions)


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for one in batch:
        if not one.answer.done():
            if isinstance(error, Exception):
                one.answer.set_exception(error)
            else:
                one.answer.cancel()
