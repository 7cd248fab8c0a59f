"""A client's connection by plain HTTP: Server-Sent Events, and long poll.

Both name one position for all their channels, so that a client keeps the channels it began with.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import lru_cache

import httpx
import msgspec
from msgspec import UNSET, UnsetType

from tests.realtime.client_model import Step
from tests.realtime.crowd import Client
from tests.realtime.messages import Message, decode

_POLL_SECONDS = 10
# Longer than a poll, and than the pause between two heartbeats.
_SECONDS = 60


class Page(msgspec.Struct, frozen=True):
    """The answer of a long poll."""

    frames: list[Message]
    next: int
    subscribed: list[Message] | UnsetType = UNSET
    reset: list[Message] | UnsetType = UNSET


_decode_page = msgspec.json.Decoder(Page).decode


class _Transport(httpx.AsyncHTTPTransport):
    """Connections that name a reset as what it is."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            # anyio asks a connection that was reset at once for its socket, which is None.
            raise httpx.ConnectError("the connection was reset at once") from error


@lru_cache(maxsize=1024)
def _http(address: str) -> httpx.AsyncClient:
    """Return the connections of an address, which end with the process."""
    transport = _Transport(
        local_address=address, verify=False, limits=httpx.Limits(max_connections=None)
    )
    return httpx.AsyncClient(transport=transport, timeout=_SECONDS)


class EventStream:
    """Reads Server-Sent Events as a browser does."""

    adds_channels = False

    def __init__(self, api: str) -> None:
        self._url = f"{api}/api/stream"

    async def serve(self, client: Client) -> None:
        """Follow the client's channels until the stream breaks or this is cancelled."""
        headers = {"Accept": "text/event-stream"}
        if client.cursor is not None:
            headers["Last-Event-ID"] = str(client.cursor)
        channels = {"channel": client.subscribing()}
        try:
            async with _http(client.address).stream(
                "GET", self._url, params=channels, headers=headers
            ) as answer:
                if answer.status_code == httpx.codes.OK:
                    await _take_events(client, answer.aiter_lines())
                client.crowd.counts[f"event stream {answer.status_code}"] += 1
        except httpx.HTTPError:
            client.crowd.counts["event stream broken"] += 1


async def _take_events(client: Client, lines: AsyncIterator[str]) -> None:
    """Take events until the stream ends, or one shows that something is missing."""
    last: int | None = None
    step = Step.GO_ON
    async for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            last = int(value)
        elif name == "data":
            step = client.take(decode(value))
        elif not line:  # the event's end
            client.cursor = last if last is not None else client.cursor
            if step is Step.SUBSCRIBE_AGAIN:
                client.cursor = client.lowest_position()
                return


class LongPoll:
    """Asks for the next frames again and again."""

    adds_channels = False

    def __init__(self, api: str) -> None:
        self._url = f"{api}/api/stream"

    async def serve(self, client: Client) -> None:
        """Ask once, and take the answer."""
        asked: dict[str, int | Sequence[str]] = {"channel": client.subscribing()}
        if client.cursor is not None:
            asked |= {"after": client.cursor, "wait": _POLL_SECONDS}
        try:
            answer = await _http(client.address).get(self._url, params=asked)
        except httpx.HTTPError:
            client.crowd.counts["poll broken"] += 1
            return
        client.crowd.counts[f"poll {answer.status_code}"] += 1
        if answer.status_code == httpx.codes.OK:
            self._take(client, _decode_page(answer.content))

    def _take(self, client: Client, page: Page) -> None:
        if client.cursor is not None:
            # What was asked for needs no confirmation.
            client.resumed()
        steps = {
            client.take(message)
            for messages in (page.subscribed, page.frames, page.reset)
            if messages is not UNSET
            for message in messages
        }
        missing = Step.SUBSCRIBE_AGAIN in steps
        client.cursor = client.lowest_position() if missing else page.next
