"""Live updates for clients that ask for them again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from api.errors import unavailable
from api.realtime.outgoing import Outgoing
from api.realtime.protocol import Message
from api.realtime.reader import Reader


class StreamPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there is after a position.

    `frames` are those of all channels in one order; ask again with `next` as `after`. `subscribed`
    has a message for each channel, with its state as of the message's `seq`: present where no
    `after` was given. `reset` has the same where the frames after it are no longer stored, or too
    many: begin again from these states.
    """

    frames: list[Message]
    next: int
    subscribed: list[Message] | UnsetType = UNSET
    reset: list[Message] | UnsetType = UNSET


async def poll(reader: Reader, after: int | None, wait: float) -> bytes:
    """Return a ``StreamPage`` as JSON, as soon as it has something to say.

    Args:
        reader: Of the channels, after ``after``.
        after: The position that the client has named.
        wait: Most seconds to wait for the first frame.

    Raises:
        ApiError: 503 where the process stops before it can answer.
    """
    has_waited = asyncio.get_running_loop().create_future()
    timer = asyncio.get_running_loop().call_later(wait, _expire, has_waited, reader)
    messages: list[Outgoing] = []
    position: int | None = None
    try:
        while (batch := await reader.take()) is not None:
            messages += batch.messages
            position = batch.position
            if position is not None and (has_waited.done() or _says_something(messages, after)):
                messages += reader.waiting_states()
                break
    finally:
        timer.cancel()
    if position is None:
        if reader.subscribing.done():
            await reader.subscribing  # raises why nothing could be read
        raise unavailable("The stream")
    return _encode(messages, position, after)


def _expire(has_waited: asyncio.Future[None], reader: Reader) -> None:
    has_waited.set_result(None)
    reader.wake()


def _says_something(messages: Sequence[Outgoing], after: int | None) -> bool:
    """Return whether there is more than the confirmation of the channels."""
    return after is None or any(_member(message) != "subscribed" for message in messages)


def _member(message: Outgoing) -> str:
    """Return the member of the page that has the message."""
    return message.type if message.type in ("subscribed", "reset") else "frames"


def _encode(messages: Sequence[Outgoing], position: int, after: int | None) -> bytes:
    members: dict[str, list[msgspec.Raw]] = {"frames": []}
    for message in messages:
        members.setdefault(_member(message), []).append(msgspec.Raw(message.payload))
    if after is not None:
        members.pop("subscribed", None)
    return msgspec.json.encode({**members, "next": position})
