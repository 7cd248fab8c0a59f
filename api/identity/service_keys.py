"""Which service sent a request: its key, looked up in this process.

All keys that are not revoked are read at most every ``FRESH_SECONDS`` while requests carry keys, so
that a wrong key costs no query and a revoked one is refused soon. While Postgres does not answer,
those that were last read stay accepted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.errors import unavailable
from api.identity.caller import Service
from api.shared_reading import SharedReading
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import api_keys

log = logging.getLogger("api.identity.service_keys")

FRESH_SECONDS: Final = 1.0
STATEMENT_SECONDS: Final = 2.0
# What the system's own key is called.
SYSTEM: Final = "system"
_SYSTEM_SCOPES: Final = frozenset({service_keys.UNLIMITED, service_keys.TRADE})


class ServiceKeys:
    """The keys that this process accepts; release it with ``close``."""

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(
            Role.API, settings, pool_size=1, max_overflow=1, statement_timeout=STATEMENT_SECONDS
        )
        self._reading = SharedReading(self._read, fresh=FRESH_SECONDS)
        self._known: Mapping[bytes, Service] | None = None
        own = settings.service_api_key
        self._own = service_keys.key_hash(own.get_secret_value()) if own is not None else None
        # The last day on which this process noted the use of a key.
        self._noted: dict[int, str] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def find(self, key: bytes) -> Service | None:
        """Return the service that has the key; None where it is unknown or revoked.

        Raises:
            ApiError: 503 where no keys could be read since the start.
        """
        text = key.decode("latin-1")
        hashed = service_keys.key_hash(text)
        if hashed == self._own:
            return Service(None, SYSTEM, _SYSTEM_SCOPES)
        if not service_keys.is_key(text):
            return None
        try:
            self._known = await self._reading.get()
        except (DBAPIError, PoolTimeout, TimeoutError) as error:
            if self._known is None:
                raise unavailable("The database") from error
        service = self._known.get(hashed)
        if service is not None and service.key_id is not None:
            self._note_use(service.key_id)
        return service

    def _read(self) -> Mapping[bytes, Service]:
        with self._engine.connect() as conn:
            found = api_keys.accepted_keys(conn)
        return {
            key.hash: Service(key.id, key.name, frozenset(key.scopes), key.wallet) for key in found
        }

    def _note_use(self, key_id: int) -> None:
        """Note the day in the background, once a day."""
        day = datetime.now(UTC).date()
        if self._noted.get(key_id) == day.isoformat():
            return
        self._noted[key_id] = day.isoformat()

        def write() -> None:
            try:
                with self._engine.begin() as conn:
                    api_keys.note_use(conn, key_id, day)
            except (DBAPIError, PoolTimeout) as error:
                log.warning("the use of a key was not noted: %s", type(error).__name__)

        task = asyncio.create_task(asyncio.to_thread(write))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()
