"""Tells responses that go on for long that the process stops, so that they end in good time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

EXTENSION: Final = "zmart.draining"


class Draining:
    """Whether the process stops; one for all its connections."""

    def __init__(self) -> None:
        self._has_begun = False
        self._calls: set[Callable[[], None]] = set()

    def offer(self, scope: Any) -> None:
        """Let the app that handles a request know."""
        scope["extensions"][EXTENSION] = self

    def begin(self) -> None:
        """Call whatever is to be called."""
        self._has_begun = True
        for call in tuple(self._calls):
            call()

    @contextlib.contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Have ``call`` called, at once or when the process stops while the block runs."""
        self._calls.add(call)
        try:
            if self._has_begun:
                call()
            yield
        finally:
            self._calls.discard(call)


def draining(scope: Mapping[str, Any]) -> Draining:
    """Return that of the server that runs the app; a new one where it has none."""
    found: Draining | None = (scope.get("extensions") or {}).get(EXTENSION)
    return Draining() if found is None else found
