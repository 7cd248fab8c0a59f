"""The interface that decides which endpoints are skipped for a while.

The RPC clients depend only on this protocol; ``zmart_pipelines.breakers`` implements it and
remembers failures, in a process or in the database.
"""

from __future__ import annotations

from typing import Protocol


class EndpointGuard(Protocol):
    """Admits each call to an endpoint and receives its outcome. Shared by threads."""

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """Return a ticket for one call, to be handed back with its outcome; None: skip it.

        ``force`` requests a ticket in any case, because no other endpoint is left.
        """
        ...

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """Record a usable response, which may be an error caused by the request."""
        ...

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """Record a failure of the endpoint. ``error`` holds no secret."""
        ...

    def returned(self, endpoint: str, ticket: int) -> None:
        """Return an inconclusive ticket: not called, rate limited, behind, or not offered."""
        ...


class Unguarded:
    """Admits every call; for short-lived commands."""

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """Admit the call."""
        return 0

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """Do nothing."""

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """Do nothing."""

    def returned(self, endpoint: str, ticket: int) -> None:
        """Do nothing."""
