"""Sockets that open together leave time for requests."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any, cast

from litestar import Litestar

from api.realtime import turns
from api.server import AnySocketPath

_SOCKETS, _SECONDS = 20, 0.003


def test_requests_are_answered_between_sockets_that_open_together() -> None:
    opened = 0

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        nonlocal opened
        time.sleep(_SECONDS)  # noqa: ASYNC251 - work that keeps the event loop busy
        opened += 1

    async def scenario() -> list[int]:
        routed = AnySocketPath(cast(Litestar, app), port=4001)
        scope = {"type": "websocket", "path": "/ws", "server": ("127.0.0.1", 4001)}
        sockets = [asyncio.create_task(routed(scope, None, None)) for _ in range(_SOCKETS)]
        seen = [opened]
        while not all(one.done() for one in sockets):
            await asyncio.sleep(0)
            seen.append(opened)
        return seen

    seen = asyncio.run(scenario())
    assert seen[-1] == _SOCKETS
    most = turns.SECONDS / _SECONDS + 1
    assert all(later - earlier <= most for earlier, later in pairwise(seen))
