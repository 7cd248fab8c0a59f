"""The watchdog: it notices that monitor, daemon or Postgres are silent, and needs none of them.

It runs outside Dagster, as a process of ``zmart up`` or as ``zmart watchdog``, and sends what the
outbox holds. While Postgres is away there are no rows, so it sends that message by itself, once.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from zmart_pipelines.health.start import started_at
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.alert_delivery import deliver
from zmart_pipelines.monitoring.alert_posters import OutgoingMessage, Poster, SendingFailed
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.monitor import HEARTBEAT
from zmart_pipelines.settings import Settings

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 15.0
_HOUR: Final = 3_600.0

_MONITOR_AGE = text(
    """
SELECT extract(epoch FROM clock_timestamp() - greatest(
    (SELECT last_success_at FROM ops.heartbeats WHERE service = :monitor), :start
))
"""
)
# Dagster stores UTC without a zone.
_DAEMON_AGE = text(
    """
SELECT extract(epoch FROM (clock_timestamp() AT TIME ZONE 'UTC') - greatest(
    (SELECT max(timestamp) FROM dagster.daemon_heartbeats), :start AT TIME ZONE 'UTC'
))
"""
)


class Silence(msgspec.Struct, frozen=True):
    """Something that should have been heard of, and for how long it was not.

    Attributes:
        topic: The topic of its alert.
        seconds: Since it was last heard of, or since the start.
        limit: The seconds from which on that is an alert.
        what: Its name for people.
    """

    topic: str
    seconds: float
    limit: int
    what: str


class Restart(msgspec.Struct, frozen=True):
    """A line of the supervisor's record: a process ended and is started again.

    Attributes:
        process: Its name.
        at: Unix seconds.
        code: The exit code, or minus the number of the signal that killed it; None if unknown.
    """

    process: str
    at: float
    code: int | None = None

    @property
    def end(self) -> str:
        """How the process ended, for people."""
        if self.code is None:
            return "in an unknown way"
        if self.code >= 0:
            return f"with code {self.code}"
        return f"by {signal.Signals(-self.code).name}"


class Watchdog:
    """Watches in rounds; it keeps nothing but what it knows of Postgres."""

    def __init__(
        self,
        settings: Settings,
        posters: Sequence[Poster],
        *,
        pipelines: Engine,
        dagster: Engine,
        restarts: Path | None = None,
    ) -> None:
        """Take what it reads and where it sends.

        Args:
            settings: Limits.
            posters: The receivers.
            pipelines: Connections that read heartbeats and write alerts.
            dagster: Connections that read Dagster's own tables.
            restarts: The supervisor's record of restarts; None where there is no supervisor.
        """
        self._settings = settings
        self._posters = posters
        self._pipelines = pipelines
        self._dagster = dagster
        self._restarts = restarts
        self._database_seen = time.monotonic()
        self._has_reported_database = False

    def watch_once(self) -> None:
        """Run one round; a failure of Postgres is reported, not raised."""
        try:
            self._watch()
        except DBAPIError as error:
            log.warning("Postgres does not answer: %s", type(error.orig or error).__name__)
            self._report_database()
            return
        self._database_seen = time.monotonic()
        if self._has_reported_database:
            self._send("ended: Postgres answers again", "ended: database_unreachable")
            self._has_reported_database = False

    def _watch(self) -> None:
        with self._pipelines.connect() as conn:
            started = started_at(conn)
            values = {"monitor": HEARTBEAT, "start": started}
            monitor = float(conn.execute(_MONITOR_AGE, values).scalar_one())
        with self._dagster.connect() as conn:
            daemon = float(conn.execute(_DAEMON_AGE, {"start": started}).scalar_one())
        silences = (
            Silence("monitor_silent", monitor, self._settings.monitor_silence_seconds, "monitor"),
            Silence("daemon_silent", daemon, self._settings.daemon_silence_seconds, "daemon"),
        )
        with self._pipelines.begin() as conn:
            for silence in silences:
                _update_silence(conn, silence)
            if self._restarts is not None:
                found = restarts_in_the_last_hour(read_restarts(self._restarts), time.time())
                _update_restarts(conn, found, self._settings.restarts_per_hour)
        deliver(self._pipelines, self._settings, self._posters)

    def _report_database(self) -> None:
        silent = time.monotonic() - self._database_seen
        if self._has_reported_database or silent < self._settings.watchdog_database_seconds:
            return
        cause = CAUSES["database_unreachable"]
        self._has_reported_database = self._send(
            f"{cause.severity}: Postgres does not answer",
            f"*{cause.severity}*: Postgres has not answered the watchdog for {silent:.0f} s\n"
            f"  {cause.topic}; runbook: {cause.runbook}",
        )

    def _send(self, title: str, body: str) -> bool:
        """Send a message without a row; return whether any receiver has it."""
        is_sent = False
        for poster in self._posters:
            try:
                # Unix seconds tell messages apart that have no row.
                poster.send(OutgoingMessage(int(time.time()), title, body))
                is_sent = True
            except SendingFailed as error:
                log.warning("%s: %s", poster.channel, error)
        return is_sent


def read_restarts(path: Path) -> list[Restart]:
    """Return the recorded restarts, oldest first; none without the file."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Restart) for line in lines]


def restarts_in_the_last_hour(
    restarts: Iterable[Restart], now: float
) -> Mapping[str, Sequence[Restart]]:
    """Return the restarts of each process within the last hour, oldest first."""
    found: dict[str, list[Restart]] = {}
    for one in restarts:
        if now - one.at < _HOUR:
            found.setdefault(one.process, []).append(one)
    return found


def _update_silence(conn: Connection, silence: Silence) -> None:
    key = AlertKey(silence.topic)
    if silence.seconds < silence.limit:
        clear_alert(conn, key)
        return
    message = f"the {silence.what} has been silent for {silence.seconds:.0f} s"
    raise_alert(conn, key, CAUSES[silence.topic].severity, message)


def _update_restarts(conn: Connection, found: Mapping[str, Sequence[Restart]], most: int) -> None:
    held = {name: restarts for name, restarts in found.items() if len(restarts) > most}
    for name, restarts in held.items():
        ended = restarts[-1].end
        message = f"{name} was restarted {len(restarts)} times in an hour; it ended last {ended}"
        key = AlertKey("restarts", subject=name)
        raise_alert(conn, key, CAUSES["restarts"].severity, message)
    for key in open_alerts(conn, topic="restarts"):
        if key.subject not in held:
            clear_alert(conn, key)
