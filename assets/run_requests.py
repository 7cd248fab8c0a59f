"""Request runs from sensors: one at a time, and repeatedly only at growing intervals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from hashlib import sha256

import dagster as dg
import msgspec

from assets.runs_in_flight import ABANDONED_AFTER, in_flight, pause_after_failed_start
from assets.sensor_ticks import Tick

# Seconds between two requests for the same work: they double from the first to the last.
FIRST_PAUSE = 5.0
LAST_PAUSE = 60.0


class RequestCursor(msgspec.Struct, frozen=True):
    """A sensor's cursor: what it requested last.

    Attributes:
        work: Digest or name of the work.
        requested_at: Unix seconds of the last request.
        times: How often the same work was requested in a row.
    """

    work: str = ""
    requested_at: float = 0.0
    times: int = 0

    @classmethod
    def decode(cls, cursor: str | None) -> RequestCursor:
        """Read a cursor back; a malformed one counts as no request."""
        try:
            return msgspec.json.decode(cursor or "", type=cls)
        except msgspec.MsgspecError:
            return cls()

    def encode(self) -> str:
        """Return the cursor as Dagster stores it."""
        return msgspec.json.encode(self).decode()

    def pause(self, work: str, now: float) -> float:
        """Return the seconds until ``work`` may be requested; 0 for anything new."""
        if self.work != work or now < self.requested_at:
            return 0.0
        pause = min(FIRST_PAUSE * 2.0 ** min(self.times - 1, 10), LAST_PAUSE)
        return max(0.0, self.requested_at + pause - now)

    def after_request(self, work: str, now: float) -> RequestCursor:
        """Return the cursor after a request for ``work``."""
        return RequestCursor(work, now, self.times + 1 if self.work == work else 1)


def request_run(
    context: dg.SensorEvaluationContext,
    job: str,
    work: Collection[bytes],
    now: float,
    abandoned_after: timedelta = ABANDONED_AFTER,
) -> Tick:
    """Request one run of ``job`` for all of ``work``, unless there is none or one is in flight.

    There is no run key: Dagster remembers run keys indefinitely, and the same work may recur.

    Args:
        context: Of the sensor's tick.
        job: Name of the job, the only one of the sensor.
        work: Names of what the run has to do.
        now: Seconds of the clock that paces repeated requests.
        abandoned_after: Age from which a run in flight counts as dead.
    """
    last = RequestCursor.decode(context.cursor)
    found = _request(context.instance, job, work, now, abandoned_after, last)
    if isinstance(found, str):
        return dg.SkipReason(found)
    request, cursor = found
    return dg.SensorResult(run_requests=[request], cursor=cursor.encode())


def request_runs(
    context: dg.SensorEvaluationContext,
    work: Mapping[str, Collection[bytes]],
    now: float,
    abandoned_after: timedelta = ABANDONED_AFTER,
) -> Tick:
    """Do the same for each of the sensor's jobs; ``work`` is by the job's name."""
    cursors = decode_cursors(context.cursor)
    requests: list[dg.RunRequest] = []
    reasons: list[str] = []
    for job, due in work.items():
        last = cursors.get(job, RequestCursor())
        found = _request(context.instance, job, due, now, abandoned_after, last)
        if isinstance(found, str):
            reasons.append(found)
        else:
            requests.append(found[0])
            cursors[job] = found[1]
    if not requests:
        return dg.SkipReason(" ".join(dict.fromkeys(reasons)))
    return dg.SensorResult(run_requests=requests, cursor=msgspec.json.encode(cursors).decode())


def decode_cursors(cursor: str | None) -> dict[str, RequestCursor]:
    """Read back the cursors of a sensor with several jobs; malformed ones count as none."""
    try:
        return msgspec.json.decode(cursor or "", type=dict[str, RequestCursor])
    except msgspec.MsgspecError:
        return {}


def _request(
    instance: dg.DagsterInstance,
    job: str,
    work: Collection[bytes],
    now: float,
    abandoned_after: timedelta,
    last: RequestCursor,
) -> tuple[dg.RunRequest, RequestCursor] | str:
    """Return the request and the cursor after it, or why none is made."""
    if not work:
        return "Nothing is due."
    if in_flight(instance, job, abandoned_after):
        return f"A run of {job} is already in flight."
    pause = pause_after_failed_start(instance, job)
    if pause > 0:
        return f"The last run of {job} could not be started; next in {pause:.0f} s."
    digest = sha256(b"".join(sorted(work))).hexdigest()
    pause = last.pause(digest, now)
    if pause > 0:
        return f"The same work was requested of {job} just now; next in {pause:.0f} s."
    request = dg.RunRequest(job_name=job, tags={"zmart/due": str(len(work))})
    return request, last.after_request(digest, now)
