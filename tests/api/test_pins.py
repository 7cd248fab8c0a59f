"""Pinning and reading what is pinned, where the store hangs."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from api.pins import Pins
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.settings import Settings

HANGING, PINNED = b"a file whose store hangs", b"a file that was pinned before"
WAIT_SECONDS = 60


def test_pinned_files_are_read_while_the_pin_store_hangs(tmp_path: Path) -> None:
    """A pipe in the place of a file: whoever opens it waits for its other end."""
    settings = Settings(zmart_state=tmp_path, api_pin_threads=2, api_pin_seconds=WAIT_SECONDS)
    pipe = tmp_path / "ipfs" / cid_v0(HANGING)

    async def scenario() -> None:
        pins = Pins(settings)
        await pins.pin(PINNED)
        os.mkfifo(pipe)
        hanging = [asyncio.ensure_future(pins.pin(HANGING)) for _ in range(4)]
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(10):
                assert await pins.read(cid_v0(PINNED)) == PINNED
        assert not any(one.done() for one in hanging)
        release(pipe)
        await asyncio.gather(*hanging)
        assert await pins.read(cid_v0(HANGING)) == HANGING
        pins.close()

    asyncio.run(scenario())


def release(pipe: Path) -> None:
    """Let everybody who opens the pipe read its end, until it is replaced by the file."""

    def open_and_close() -> None:
        while pipe.is_fifo():
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue

    threading.Thread(target=open_and_close, daemon=True).start()
