"""Pinned files: pinning a draft's question, and reading what was pinned here."""

from __future__ import annotations

import logging
from typing import Final

from api.bulkhead import Bulkhead
from api.errors import ApiError, not_found, unavailable
from api.metrics import FAILED_PINS
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound
from zmart_pipelines.settings import Settings

log = logging.getLogger("api.pins")

READING_THREADS: Final = 2


class Pins:
    """The pin store of one process; pinning and reading have threads of their own each."""

    def __init__(self, settings: Settings) -> None:
        self._store = configured_pin_store(settings)
        # Only local files are served: this server does not fetch arbitrary CIDs from gateways.
        self._local = LocalPinStore(settings.zmart_state / "ipfs")

        def bulkhead(name: str, threads: int) -> Bulkhead:
            return Bulkhead(
                name,
                threads=threads,
                queue=settings.api_queue,
                seconds=settings.api_pin_seconds,
                refusal=lambda: unavailable("The pin store"),
            )

        # A pin store that hangs holds no thread that files on this machine are read by.
        self._pinning = bulkhead("pins", settings.api_pin_threads)
        self._reading = bulkhead("pinned", READING_THREADS)

    async def pin(self, data: bytes) -> None:
        """Pin ``data``; raise ApiError 503 where the store fails or does not answer in time."""
        try:
            await self._pinning.run(lambda: self._store.pin(data))
        except PinError as error:
            # The sender of the request cannot mend it; operators find the remedy here.
            log.error("the pin store failed: %s", error)
            FAILED_PINS.inc()
            raise unavailable("The pin store") from error
        except ApiError:
            # It did not answer in time, or others that wait for it fill the queue.
            FAILED_PINS.inc()
            raise

    async def is_held(self, cid: str) -> bool:
        """Return whether the local store has this file; raise ApiError 503 where it fails."""
        try:
            await self._reading.run(lambda: self._local.get(cid))
        except PinNotFound:
            return False
        except PinError as error:
            raise unavailable("The pin store") from error
        return True

    async def read(self, cid: str) -> bytes:
        """Return a file of the local store; raise ApiError 404 or 503 where it cannot be read."""
        try:
            return await self._reading.run(lambda: self._local.get(cid))
        except PinNotFound as error:
            raise not_found("File") from error
        except PinError as error:
            raise unavailable("The file") from error

    def close(self) -> None:
        """Wait for running work."""
        self._pinning.close()
        self._reading.close()
