"""Who decides which endpoint is left alone for a while.

The chain's clients know only this; what remembers failures, in a process or in the database,
is ``zmart_pipelines.breakers``.
"""

from __future__ import annotations

from typing import Protocol


class EndpointGuard(Protocol):
    """Asked before each call to an endpoint, and told how it went. Shared by threads."""

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """A ticket for one call, to be handed back with its result; None: leave it alone.

        ``force`` gets a ticket in any case: there is no other endpoint left.
        """
        ...

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """The endpoint gave a usable answer, if only that we are wrong."""
        ...

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """It gave none. ``error`` holds no secret."""
        ...

    def returned(self, endpoint: str, ticket: int) -> None:
        """The call says nothing about it: it was not made, or answered "too many"."""
        ...


class Unguarded:
    """Lets every call through: for commands that end soon."""

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """Always."""
        return 0

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """Nothing to remember."""

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """Nothing to remember."""

    def returned(self, endpoint: str, ticket: int) -> None:
        """Nothing to remember."""
