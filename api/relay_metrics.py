"""What the relay of this process has done: transactions handed in, and how they went on."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from api.durations import Durations

# Upper bounds of the buckets, in seconds.
ACCEPTANCE_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A transaction is confirmed after about a second and finalized after thirteen; its blockhash
# expires after about a minute.
PROGRESS_BOUNDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0)


class Acceptance(StrEnum):
    """How a transaction that was handed in was answered."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"


class RelayMetrics:
    """The figures of one process.

    ``observe_acceptance`` is called from the event loop, ``observe_progress`` from the relay's
    thread.
    """

    def __init__(self) -> None:
        self._acceptances = {one: Durations(ACCEPTANCE_BOUNDS) for one in Acceptance}
        self._progress: dict[str, Durations] = {}

    def observe_acceptance(self, outcome: Acceptance, seconds: float) -> None:
        """Count a transaction that was handed in, and the time until it was answered."""
        self._acceptances[outcome].observe(seconds)

    def observe_progress(self, state: str, seconds: float) -> None:
        """Count a transaction that reached a state, and the time since it was stored."""
        durations = self._progress.get(state)
        if durations is None:
            durations = self._progress[state] = Durations(PROGRESS_BOUNDS)
        durations.observe(seconds)

    def acceptances(self) -> Iterator[tuple[Acceptance, Durations]]:
        """Yield each outcome and the durations of its answers."""
        yield from self._acceptances.items()

    def progress(self) -> Iterator[tuple[str, Durations]]:
        """Yield the states that were reached, with the times since the transactions were stored.

        They are ``confirmed``, which a transaction may reach again after a fork, and the ends:
        ``finalized``, ``failed`` and ``expired``.
        """
        yield from sorted(self._progress.items())
