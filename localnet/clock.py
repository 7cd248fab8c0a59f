"""Chain time: of its own accord with the machine's, or only when told."""

from __future__ import annotations

import time

from localnet.options import SEEDED_GENESIS_TIME, Options


class ChainTime:
    """Gives each slot its unix time, which never falls.

    With the automatic clock that is the machine's time plus ``offset_ms``; with the manual
    one, each slot adds its length to ``manual_ms``. Jumps move either.
    """

    def __init__(self, options: Options, now_ms: int | None, saved_ms: int | None) -> None:
        self._manual = options.manual_clock
        self._slot_ms = options.slot_ms
        fixed = options.manual_clock and options.seed is not None
        start = SEEDED_GENESIS_TIME * 1000 if fixed else _wall_ms()
        self._last_ms = start if now_ms is None else now_ms
        self._offset_ms = saved_ms or 0

    @property
    def unix_time(self) -> int:
        """Seconds of the newest slot that got a time."""
        return self._last_ms // 1000

    @property
    def now_ms(self) -> int:
        """Milliseconds of the newest slot that got a time."""
        return self._last_ms

    @property
    def offset_ms(self) -> int:
        """How far jumps have moved chain time from the machine's."""
        return self._offset_ms

    def next(self) -> int:
        """The unix time of the next slot."""
        if self._manual:
            self._last_ms += self._slot_ms
        else:
            self._last_ms = max(self._last_ms, _wall_ms() + self._offset_ms)
        return self.unix_time

    def jump(self, seconds: int) -> None:
        """Let that many seconds pass before the next slot."""
        if seconds < 0:
            raise ValueError("seconds: chain time never goes back")
        self._offset_ms += seconds * 1000
        self._last_ms += seconds * 1000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
