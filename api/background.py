"""Work that goes on in the background of the event loop for as long as a block runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

log = logging.getLogger("api")

RESTART_SECONDS: Final = 1.0


@contextlib.asynccontextmanager
async def in_background(work: Callable[[], Awaitable[None]], name: str) -> AsyncIterator[None]:
    """Run ``work`` until the block ends; if it fails before, log why and start it again."""
    task = asyncio.create_task(_keep(work, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep(work: Callable[[], Awaitable[None]], name: str) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed and is started again", name)
        await asyncio.sleep(RESTART_SECONDS)
