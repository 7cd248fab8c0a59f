"""Server-Sent Events (WHATWG HTML, section 9.2): live updates as an HTTP response without end.

A frame's ``id`` is its position. A browser that connects again sends the last one as
``Last-Event-ID`` and gets everything after it.
"""

from __future__ import annotations

import random
from itertools import zip_longest
from typing import Final

from api.realtime.reader import Batch

MEDIA_TYPE: Final = "text/event-stream"
# Milliseconds after which a browser connects again: different ones, so that the clients of a
# process that stopped do not all come at once.
_RETRY: Final = (1_000, 5_000)


def opening() -> str:
    """Return what a stream begins with."""
    return f"retry: {random.randint(*_RETRY)}\n\n"


def encode(batch: Batch) -> str:
    """Return the events of messages that were taken together.

    A frame may belong to several channels of one stream. So that none of its messages is lost where
    the connection breaks between them, all but the last have the position before as their id.
    Behind messages that are no stored frames, such as heartbeats, the batch's position moves the id
    of a client whose channels are quiet.
    """
    messages, position = batch
    parts = []
    for message, follower in zip_longest(messages, messages[1:]):
        if message.seq is not None:
            is_last = follower is None or follower.seq != message.seq
            parts.append(f"id: {message.seq if is_last else message.seq - 1}\n")
        parts.append(f"event: {message.type}\ndata: {message.text}\n\n")
    if position is not None and messages and messages[-1].seq is None:
        parts.append(f"id: {position}\n\n")
    return "".join(parts)
