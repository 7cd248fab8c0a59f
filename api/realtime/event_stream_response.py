"""The response that sends an event stream until it ends or its client goes away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, cast

from litestar import Response
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from api.connections.draining import draining
from api.middleware.edge import EVENT_STREAM
from api.realtime import event_stream
from api.realtime.client_count import counted
from api.realtime.heartbeats import Heartbeats
from api.realtime.reader import Batch, Reader

_HEADERS: Final = [
    (b"content-type", EVENT_STREAM),
    (b"cache-control", b"no-store"),
    # Proxies of nginx's kind would keep events back otherwise.
    (b"x-accel-buffering", b"no"),
]
# How the stream of a client that reads too slowly ends.
_SLOW: Final = ": the client reads too slowly; it continues from its last event id\n\n"
OpenReader = Callable[[], AbstractAsyncContextManager[Reader]]


class EventStreamResponse(Response[Any]):
    """Sends what a reader takes; the reader is open for as long as the response is sent."""

    def __init__(self, open_reader: OpenReader, heartbeats: Heartbeats) -> None:
        super().__init__(content=None, media_type=event_stream.MEDIA_TYPE)
        self._open_reader = open_reader
        self._heartbeats = heartbeats

    # Litestar calls what is returned; an ASGIResponse of its own would hold the whole body.
    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]  # any app
        """Return the app that sends it."""
        return self._send_stream

    async def _send_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._open_reader() as reader:
            batch = await reader.take()
            if batch is None or not batch.messages:
                # Raises why nothing could be read, which is then the answer.
                await reader.subscribing
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            # Only from here on is HEAD known as such; it has no body.
            if cast(HTTPScope, scope)["method"] == "HEAD":
                await _send_text(send, "", more_body=False)
                return
            with (
                draining(scope).calling(reader.end),
                counted("event_stream", reader.subscriber),
                self._heartbeats.joined(reader.subscriber),
            ):
                async with ended_by_client(receive, reader):
                    await _send_events(reader, batch, send)


async def _send_events(reader: Reader, batch: Batch | None, send: Send) -> None:
    await _send_text(send, event_stream.opening())
    while batch is not None:
        if batch.messages:
            await _send_text(send, event_stream.encode(batch))
        batch = await reader.take()
    is_slow = reader.subscriber.has_overflowed
    await _send_text(send, _SLOW if is_slow else "", more_body=False)


async def _send_text(send: Send, text: str, *, more_body: bool = True) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": more_body})


@contextlib.asynccontextmanager
async def ended_by_client(receive: Receive, reader: Reader) -> AsyncIterator[None]:
    """End the reader when its client goes away while the block runs."""

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        reader.end()

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
