"""Frames on their way to many subscribers, and the turns in which that happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.realtime import delivery
from api.realtime.channels import Channel, of_market
from api.realtime.delivery import Delivery
from api.realtime.outgoing import json_message
from api.realtime.subscriber import Subscriber
from api.realtime.subscribers import Audience, Subscribers
from api.realtime.turns import Turns

CHANNELS = [of_market(bytes([number]) * 32) for number in range(3)]


class Socket:
    """Takes every write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, frame: bytes) -> bool:
        """Take it."""
        self.writes.append(frame)
        return True

    def when_writable(self, resume: Callable[[], None] | None) -> None:
        """Never needed."""

    def end(self, code: int, reason: str) -> None:
        """Fail, because no client is slow."""
        raise AssertionError((code, reason))


def joined(subscribers: Subscribers, own: list[Channel]) -> tuple[Subscriber, Socket]:
    socket = Socket()
    subscriber = Subscriber(1 << 20, socket)
    for channel in own:
        subscribers.add(subscriber, channel)
    subscriber.resume({channel.name: 0 for channel in own})
    return subscriber, socket


def audience(subscribers: Subscribers, channel: Channel) -> Audience | None:
    assert channel.source is not None
    return next(iter(subscribers.of_source(channel.source)), None)


@given(
    st.lists(st.sets(st.sampled_from(CHANNELS)), min_size=1, max_size=5),
    st.lists(st.sampled_from(CHANNELS), max_size=6),
)
def test_each_subscriber_gets_its_frames_in_order_and_in_one_write(
    owned: list[set[Channel]], sent: list[Channel]
) -> None:
    async def scenario() -> None:
        subscribers, part = Subscribers(), Delivery()
        clients = [joined(subscribers, sorted(own, key=str)) for own in owned]
        frames = [json_message("trade", str(position).encode()) for position in range(len(sent))]
        for position, channel in enumerate(sent, 1):
            found = audience(subscribers, channel)
            if found is not None:
                part.add(found, position, frames[position - 1])
        await part.send(Turns())
        for own, (subscriber, socket) in zip(owned, clients, strict=True):
            expected = [frame.frame for frame, one in zip(frames, sent, strict=True) if one in own]
            assert socket.writes == ([b"".join(expected)] if expected else [])
            heads = {
                channel.name: max(
                    (at for at, one in enumerate(sent, 1) if one == channel), default=0
                )
                for channel in own
            }
            assert subscribers.heads(subscriber) == heads

    asyncio.run(scenario())


def test_no_heartbeat_tells_of_a_frame_that_is_on_its_way() -> None:
    async def scenario() -> None:
        subscribers, part = Subscribers(), Delivery()
        channel = CHANNELS[0]
        number = 3 * delivery._SUBSCRIBERS_AT_ONCE
        clients = [joined(subscribers, [channel]) for _ in range(number)]
        found = audience(subscribers, channel)
        assert found is not None
        part.add(found, 1, json_message("trade", b"1"))
        sending = asyncio.create_task(part.send(Turns(seconds=0)))
        seen = set()
        while not sending.done():
            await asyncio.sleep(0)
            seen.add(sum(len(socket.writes) for _, socket in clients))
            for subscriber, socket in clients:
                assert subscribers.heads(subscriber) == {channel.name: len(socket.writes)}
        assert len(seen) >= 3, "others had turns in between"
        late, socket = joined(subscribers, [channel])
        assert subscribers.heads(late) == {channel.name: 1}
        assert not socket.writes

    asyncio.run(scenario())


@given(st.integers(1, 30), st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_works_share_a_turn_and_all_come_to_their_end(allowed: int, pieces: list[int]) -> None:
    """The clock is moved by the works alone, one unit for each of their pieces."""
    now = 0

    async def work(turns: Turns, number: int) -> None:
        nonlocal now
        for _ in range(number):
            await turns.give_way()
            now += 1

    async def scenario() -> list[int]:
        turns = Turns(allowed, clock=lambda: float(now))
        works = [asyncio.create_task(work(turns, number)) for number in pieces]
        times = [now]
        while not all(one.done() for one in works):
            await asyncio.sleep(0)
            times.append(now)
        return times

    times = asyncio.run(scenario())
    assert times[-1] == sum(pieces)
    # The last piece of a turn may begin in time and end after it.
    assert all(later - earlier <= allowed + 1 for earlier, later in pairwise(times))


def test_frame_older_than_the_state_at_the_beginning_is_not_sent() -> None:
    channel = CHANNELS[0].name
    subscriber = Subscriber(1 << 20)
    subscriber.subscribe(channel)
    subscriber.resume({channel: 10})
    older, newer = json_message("prices", b"{}"), json_message("prices", b'{"n":1}')
    frames = [(channel, 7, older), (channel, 12, newer), (channel, 12, newer)]
    assert subscriber.unsent(frames) == [newer]
    assert subscriber.unsent([(CHANNELS[1].name, 13, newer)]) == [], "it has no such subscription"
