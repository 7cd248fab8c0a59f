"""The position of what one HTTP request of the stream has taken."""

from __future__ import annotations

import asyncio
from typing import cast

from api.realtime.channels import of_market
from api.realtime.hub import Hub
from api.realtime.outgoing import json_message
from api.realtime.reader import Reader
from api.realtime.subscriber import Subscriber


class DeliveringHub:
    """A hub that has sent frames to some clients and has yet to send them to others."""

    position = 5


def test_position_is_not_below_the_frames_that_were_taken() -> None:
    async def positions() -> list[int | None]:
        subscriber = Subscriber(1 << 20)
        reader = Reader(cast(Hub, DeliveringHub()), [of_market(bytes(32))], 0, subscriber)
        reader.subscribing.set_result(None)
        found = []
        for seq in (4, 7, None):
            subscriber.push(json_message("trade", b"{}", seq))
            batch = await reader.take()
            found.append(None if batch is None else batch.position)
        return found

    assert asyncio.run(positions()) == [5, 7, 7]
