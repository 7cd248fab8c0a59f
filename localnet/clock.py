"""Chain time: it follows the machine's clock, or advances only on request."""

from __future__ import annotations

import time
from typing import Final

from localnet.options import SEEDED_GENESIS_TIME, Options

LAST_TIME: Final = 4_102_444_800
"""The latest chain time that a jump may reach, so that times stay valid for every reader."""


class ChainTime:
    """Assigns each slot its Unix time, which never decreases.

    With the automatic clock this is the machine's time plus ``offset_ms``; with the manual one
    each slot adds its length. Jumps advance both.
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
        """Unix time of the newest slot, in seconds."""
        return self._last_ms // 1000

    @property
    def now_ms(self) -> int:
        """Unix time of the newest slot, in milliseconds."""
        return self._last_ms

    @property
    def offset_ms(self) -> int:
        """Milliseconds by which jumps have moved chain time ahead of the machine's."""
        return self._offset_ms

    def next(self) -> int:
        """Return the Unix time of the next slot, in seconds."""
        if self._manual:
            self._last_ms += self._slot_ms
        else:
            self._last_ms = max(self._last_ms, _wall_ms() + self._offset_ms)
        return self.unix_time

    def jump(self, seconds: int) -> None:
        """Advance chain time by ``seconds`` before the next slot.

        Raises:
            ValueError: it would go back, or beyond ``LAST_TIME``.
        """
        if seconds < 0:
            raise ValueError("seconds: must not be negative, chain time never goes back")
        if self.unix_time + seconds > LAST_TIME:
            raise ValueError(f"seconds: chain time would pass {LAST_TIME} (the year 2100)")
        self._offset_ms += seconds * 1000
        self._last_ms += seconds * 1000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
