"""States of the past: what a market and a wallet's positions were after a slot (``?at=``).

They are folded from the ledger, which costs processor time for every event. Therefore they have
threads and connections of their own, a deadline, and a limit of events.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.bulkhead import Bulkhead
from api.database import DatabaseBusy
from api.error_codes import ErrorCode
from api.errors import ApiError, invalid
from api.requests import moments, query_rules
from zmart_pipelines.client_schemas.formats import chain_time, clamped_chain_time
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.projection import MarketRow, Projection
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.ledger.rows.past_projections import fold_as_of
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import events, health, markets

T = TypeVar("T")

At: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        max_length=40,
        description="The state after a slot (`412345678`) or at a time of ISO 8601 with its offset"
        " (`2026-11-20T08:00:00Z`): after the last slot whose block time is not later. 400 where"
        " the ledger has not read that far, 404 where the market did not exist yet, 422 where too"
        " many events would have to be read.",
    ),
]


class PointInTime(msgspec.Struct, frozen=True):
    """The point that a state of the past belongs to.

    `slot` is the slot after which it was the state. `block_time` is that of the last transaction
    of the ledger up to it.
    """

    slot: int
    block_time: str | None


def parse_at(text: str) -> int | datetime:
    """Return the slot or the time that ``at`` names; raise ApiError 400 where it is neither."""
    point = moments.number(text)
    if point is not None and point < 2**63:
        return point
    moment = moments.instant(text)
    if moment is None:
        raise invalid(
            "at", "must be a slot, or a time of ISO 8601 with an offset: 2026-11-20T08:00:00Z"
        )
    return moment


AT_RULE = query_rules.parsed(lambda text, _: parse_at(text), "at")


class PastStates:
    """Threads and connections of one process that fold; release them with ``close``."""

    def __init__(self, settings: Settings) -> None:
        seconds = settings.api_past_seconds
        self._program = settings.program
        self._max_events = settings.api_past_events
        self._engine = engine(
            Role.READ,
            settings,
            pool_size=settings.api_past_threads,
            max_overflow=0,
            pool_timeout=seconds,
            statement_timeout=seconds,
        )
        self._bulkhead = Bulkhead(
            "past",
            threads=settings.api_past_threads,
            queue=settings.api_queue,
            seconds=seconds,
            refusal=lambda: DatabaseBusy("no state of the past in time"),
        )

    async def read(self, at: int | datetime, work: Callable[[Connection, PointInTime], T]) -> T:
        """Run ``work`` on a read-only snapshot with the point that ``at`` names.

        Raises:
            ApiError: 400 where the point lies in the future, or as ``work`` raises it.
            DatabaseBusy: There is no result in time.
        """
        return await self.read_now(lambda conn: work(conn, _resolve(conn, at)))

    async def read_now(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a read-only snapshot, in these threads.

        Raises:
            DatabaseBusy: There is no result in time.
        """

        def run() -> T:
            with self._engine.connect() as conn:
                return work(
                    conn.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                )

        return await self._bulkhead.run(run)

    def fold(
        self, conn: Connection, market_ids: Collection[bytes], slot: int
    ) -> dict[bytes, Projection]:
        """Return these markets and their positions after ``slot``, by id; inside ``read``.

        Raises:
            ApiError: 422 where more events are needed than one request may cost.
        """
        self._bulkhead.continue_only_if_awaited()
        timeline = Timeline(market_rows.load_configuration_changes(conn))
        try:
            return fold_as_of(
                conn, market_ids, self._program, slot, timeline, max_events=self._max_events
            )
        except market_rows.TooManyEvents as error:
            raise ApiError(
                422,
                f"The state at this point depends on more than {self._max_events} events, which is"
                " the limit of one request (api_past_events)",
                code=ErrorCode.UNPROCESSABLE,
            ) from error

    def market(
        self, conn: Connection, market: markets.Market, point: PointInTime
    ) -> markets.Market:
        """Return what ``market`` was after the point's slot; inside ``read``.

        The question does not change; ``updated_at`` is the block time of the last change.

        Raises:
            ApiError: 404 where it did not exist yet; 422 as ``fold``.
        """
        row = self.fold(conn, [market.market_id], point.slot)[market.market_id].market
        if row is None:
            raise ApiError(
                404,
                f"The market did not exist after slot {point.slot}",
                code=ErrorCode.MARKET_NOT_FOUND,
            )
        commitments = market_rows.load_market_commitments(
            conn, [market.market_id], until_slot=point.slot
        )
        changed_at = events.block_time_until(conn, row.as_of_slot)
        return msgspec.structs.replace(
            market,
            **_fields(row),
            commitment=commitments[market.market_id].value,
            updated_at=clamped_chain_time(changed_at or 0),
        )

    def close(self) -> None:
        """Wait for running work, then close every connection."""
        self._bulkhead.close()
        self._engine.dispose()


_SHARED_FIELDS = tuple(
    name for name in MarketRow.__struct_fields__ if name in markets.Market.__struct_fields__
)


def _fields(row: MarketRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in _SHARED_FIELDS}


def _resolve(conn: Connection, at: int | datetime) -> PointInTime:
    """Return the point that ``at`` names.

    Raises:
        ApiError: 400 where the ledger has not read that far.
    """
    if isinstance(at, datetime):
        now = markets.chain_now(conn)
        if at.timestamp() > now:
            raise invalid("at", f"is in the future; it is {chain_time(now)}")
        # Chain time has whole seconds.
        slot = events.last_slot_until(conn, int(at.timestamp() // 1)) or 0
    else:
        slot = at
        newest = health.newest_slot(conn)
        if slot > newest:
            raise invalid("at", f"the ledger has read up to slot {newest}")
    return PointInTime(slot, chain_time(events.block_time_until(conn, slot)))
