"""Ends private subscriptions once the session or the API key that permitted them has ended.

A connection outlives the access token of its session, so the session itself is checked: once a
second, all sessions of this process in one transaction. While Postgres does not answer, sessions
count as valid, as they do for reads; those that ended meanwhile end with the next answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeAlias
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.background import in_background
from api.database import Database
from api.identity.caller import Caller
from zmart_pipelines.store.queries import realtime_tickets

log = logging.getLogger("api.realtime")

WATCH_SECONDS: Final = 1.0

Proof: TypeAlias = UUID | int
"""What an identity stands on: the id of a session or of a service's key."""


class SessionWatch:
    """Watches the sessions and keys of one process's connections."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: defaultdict[Proof, set[Callable[[], None]]] = defaultdict(set)

    @contextlib.contextmanager
    def watching(self, caller: Caller, on_end: Callable[[], None]) -> Iterator[None]:
        """Call ``on_end`` once the session or the key of ``caller`` has ended.

        It is called at most once for each of them, in the event loop, while the block runs.
        """
        proofs = _proofs(caller)
        for proof in proofs:
            self._watched[proof].add(on_end)
        try:
            yield
        finally:
            for proof in proofs:
                self._forget(proof, on_end)

    def _forget(self, proof: Proof, on_end: Callable[[], None]) -> None:
        waiting = self._watched.get(proof)
        if waiting is not None:
            waiting.discard(on_end)
            if not waiting:
                del self._watched[proof]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch until the block ends."""
        async with in_background(self._run, "session watch"):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.check()
            except (DBAPIError, PoolTimeout) as error:
                log.warning("sessions could not be checked: %s", type(error).__name__)

    async def check(self) -> None:
        """Check every session and key once, and end what they permitted where they have ended."""
        watched = set(self._watched)
        if not watched:
            return
        for proof in watched - await self._database.write(None, lambda conn: _live(conn, watched)):
            for on_end in self._watched.pop(proof, ()):
                on_end()


def _proofs(caller: Caller) -> list[Proof]:
    proofs: list[Proof] = []
    if caller.session is not None:
        proofs.append(caller.session)
    # The key of the settings cannot be revoked.
    if caller.service is not None and caller.service.key_id is not None:
        proofs.append(caller.service.key_id)
    return proofs


def _live(conn: Connection, watched: set[Proof]) -> set[Proof]:
    sessions = [one for one in watched if isinstance(one, UUID)]
    keys = [one for one in watched if isinstance(one, int)]
    live: set[Proof] = set()
    if sessions:
        live |= realtime_tickets.live_sessions_among(conn, sessions)
    if keys:
        live |= realtime_tickets.accepted_keys_among(conn, keys)
    return live
