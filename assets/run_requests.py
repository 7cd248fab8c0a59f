"""Asking for a run: one at a time, and not again and again for what it could not change."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from hashlib import sha256

import dagster as dg
import msgspec

from assets.runs_in_flight import ABANDONED_AFTER, in_flight
from assets.sensor_ticks import Tick

# Seconds between two requests for the same work: they double from the first to the last.
FIRST_PAUSE = 5.0
LAST_PAUSE = 60.0


class Asked(msgspec.Struct, frozen=True):
    """The cursor: a digest of what was asked for last, when (seconds), how often in a row."""

    what: str = ""
    at: float = 0.0
    times: int = 0

    @classmethod
    def of(cls, cursor: str | None) -> Asked:
        """The cursor read back; one that is not ours counts as nothing asked for."""
        try:
            return msgspec.json.decode(cursor or "", type=cls)
        except msgspec.MsgspecError:
            return cls()

    def pause(self, what: str, now: float) -> float:
        """Seconds until ``what`` may be asked for; 0 for anything new."""
        if self.what != what or now < self.at:
            return 0.0
        pause = min(FIRST_PAUSE * 2.0 ** min(self.times - 1, 10), LAST_PAUSE)
        return max(0.0, self.at + pause - now)

    def again(self, what: str, now: float) -> Asked:
        """The cursor after asking."""
        return Asked(what, now, self.times + 1 if self.what == what else 1)


def request(
    context: dg.SensorEvaluationContext,
    job: str,
    work: Collection[bytes],
    now: float,
    abandoned_after: timedelta = ABANDONED_AFTER,
) -> Tick:
    """One run of ``job`` for all of ``work``, unless there is none or one is under way.

    There is no run key: Dagster remembers those for ever, and the same work may come again.

    :param work: what the run shall see to, as names in bytes.
    :param now: seconds of the clock that paces repeated requests.
    """
    if not work:
        return dg.SkipReason("Nothing is due.")
    if in_flight(context.instance, job, abandoned_after):
        return dg.SkipReason(f"A run of {job} is already under way.")
    last = Asked.of(context.cursor)
    what = sha256(b"".join(sorted(work))).hexdigest()
    pause = last.pause(what, now)
    if pause > 0:
        return dg.SkipReason(f"The same was asked for just now; next in {pause:.0f} s.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags={"zmart/due": str(len(work))})],
        cursor=msgspec.json.encode(last.again(what, now)).decode(),
    )
