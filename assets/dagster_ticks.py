"""Sensor ticks that did nothing leave little in Dagster's tables.

Dagster writes a row when a tick starts and again when it ends, and the sensor's state twice, each
time into two tables. With sensors that tick every five seconds that was most of the write-ahead
log of a quiet system, and some hundred thousand rows a day that say "nothing is due".
"""

from __future__ import annotations

import threading
import time
from typing import Final

from dagster_postgres import PostgresScheduleStorage
from sqlalchemy import bindparam, text

from assets.dagster_internals import (
    InstigatorState,
    InstigatorTick,
    TickData,
    TickStatus,
    is_sensor_tick,
    serialize_value,
)

# Seconds during which a sensor's ticks that did nothing share one row: the newest replaces the
# one before.
SHARED_ROW_SECONDS: Final = 60.0

_NEW_ID: Final = text("SELECT nextval(pg_get_serial_sequence('job_ticks', 'id'))")
_INSERT: Final = text(
    "INSERT INTO job_ticks (id, job_origin_id, selector_id, status, type, timestamp, tick_body)"
    " VALUES (:id, :origin, :selector, :status, :type,"
    " to_timestamp(:timestamp) AT TIME ZONE 'UTC', :body)"
).bindparams(bindparam("timestamp"))


class _Ticks:
    """What this process knows of its ticks; Dagster makes a new storage for every tick.

    Attributes:
        unwritten: Ids of ticks that have started and are not stored yet.
        idle: By sensor, the row of its ticks that did nothing, and when that row began (seconds
            of the monotonic clock).
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.unwritten: set[int] = set()
        self.idle: dict[str, tuple[int, float]] = {}

    def row_of(self, tick: InstigatorTick) -> int | None:
        """Return the row that a tick which did nothing replaces; None: it gets its own."""
        selector = tick.selector_id or ""
        with self.lock:
            if tick.status is not TickStatus.SKIPPED:
                self.idle.pop(selector, None)
                return None
            row, began = self.idle.get(selector, (0, 0.0))
            now = time.monotonic()
            if row and now - began < SHARED_ROW_SECONDS:
                return row
            self.idle[selector] = (tick.tick_id, now)
            return None


_ticks = _Ticks()


class QuietScheduleStorage(PostgresScheduleStorage):
    """``PostgresScheduleStorage`` that stores a sensor's tick when it has something to say."""

    def create_tick(self, tick_data: TickData) -> InstigatorTick:
        """Give a sensor's tick its id; its row follows with its requests or with its end.

        A tick that is lost before has done nothing: its requests are stored before they are
        submitted, by ``update_tick``.
        """
        if not is_sensor_tick(tick_data) or tick_data.status is not TickStatus.STARTED:
            return super().create_tick(tick_data)
        with self.connect() as conn:
            tick_id = int(conn.execute(_NEW_ID).scalar_one())
        _ticks.unwritten.add(tick_id)
        return InstigatorTick(tick_id, tick_data)

    def update_tick(self, tick: InstigatorTick) -> InstigatorTick:
        """Store the tick, in place of the sensor's last one if neither did anything."""
        if tick.tick_id not in _ticks.unwritten:
            return super().update_tick(tick)
        row = _ticks.row_of(tick)
        if row is not None:
            super().update_tick(InstigatorTick(row, tick.tick_data))
        else:
            self._insert(tick)
        _ticks.unwritten.discard(tick.tick_id)
        return tick

    def update_instigator_state(self, state: InstigatorState) -> InstigatorState:
        """Write the table that is read, not also its predecessor ``jobs``."""
        with self.connect() as conn:
            self._add_or_update_instigators_table(conn, state)
        return state

    def _insert(self, tick: InstigatorTick) -> None:
        values = {
            "id": tick.tick_id,
            "origin": tick.instigator_origin_id,
            "selector": tick.selector_id,
            "status": tick.status.value,
            "type": tick.instigator_type.value,
            "timestamp": tick.timestamp,
            "body": serialize_value(tick.tick_data),
        }
        with self.connect() as conn:
            conn.execute(_INSERT, values)
