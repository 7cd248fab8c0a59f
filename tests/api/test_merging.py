"""Replayed, held and live frames: none is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.realtime import channels, protocol
from api.realtime.address_budget import AddressBudget
from api.realtime.channels import MARKETS, Channel
from api.realtime.feed import Feed
from api.realtime.merging import EncodedFrame, encoded, first_of, following
from api.realtime.outgoing import Outgoing, json_message
from api.realtime.start import Start
from api.realtime.subscriber import Subscriber
from api.realtime.turns import Turns
from zmart_pipelines.store.stream import StoredFrame
from zmart_pipelines.store.stream_sources import Source

NOW = datetime(2026, 11, 30, tzinfo=UTC)
MARKET_IDS = (b"\x01" * 32, b"\x02" * 32)
CHANNELS: Sequence[Channel] = (
    *(channels.of_market(key) for key in MARKET_IDS),
    *(
        channels.of_market(key, part)
        for key in MARKET_IDS
        for part in ("state", "trades", "votes", "discussion")
    ),
    MARKETS,
)
KINDS = (
    *(
        (channels.of_market(key).name, type_)
        for key in MARKET_IDS
        for type_ in ("market_state", "trade", "vote", "discussion")
    ),
    (MARKETS.name, "market_state"),
)

subscribed = st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=5, unique=True)


def stored(kinds: Sequence[tuple[str, str]]) -> list[StoredFrame]:
    """The stream with a frame of each of ``kinds`` (channel and type), in their order."""
    heads: dict[object, int] = {}
    frames = []
    for position, (channel, type_) in enumerate(kinds, 1):
        frames.append(
            StoredFrame(
                position=position,
                channel=channel,
                previous=heads.get(channel, 0),
                type_previous=heads.get((channel, type_), 0),
                type=type_,
                payload={"n": position},
                created_at=NOW,
            )
        )
        heads[channel] = heads[channel, type_] = position
    return frames


def of(channel: Channel, frame: StoredFrame) -> bool:
    """Whether a frame belongs to a channel."""
    source = channel.source
    assert source is not None
    return source.channel == frame.channel and source.type in (None, frame.type)


def check_sequence(messages: Sequence[Outgoing], asked: Sequence[Channel], since: int) -> None:
    """Each channel has its frames after ``since``, each once and chained, in the stream's order."""
    read = [json.loads(message.text) for message in messages]
    positions = [message["seq"] for message in read]
    assert positions == sorted(positions)
    for channel in asked:
        own = [message for message in read if message["channel"] == channel.name]
        last = since
        for message in own:
            assert message["prev"] <= last < message["seq"]
            last = message["seq"]


def encoded_of(channel: Channel, frames: Sequence[StoredFrame]) -> list[EncodedFrame]:
    """What clients of a channel receive of these."""
    source = channel.source or Source("")
    return [encoded(channel, source, frame) for frame in frames if of(channel, frame)]


def head_of(channel: Channel, frames: Sequence[StoredFrame]) -> int:
    """The newest position of a channel."""
    return max((frame.position for frame in frames if of(channel, frame)), default=0)


@given(
    st.lists(st.sampled_from(KINDS), max_size=40), subscribed, st.integers(1, 5), st.integers(0, 40)
)
def test_pages_hold_the_frames_of_each_channel_in_order(
    kinds: list[tuple[str, str]], asked: list[Channel], limit: int, since: int
) -> None:
    frames = stored(kinds)
    messages: list[Outgoing] = []
    position = since
    while page := first_of(
        [
            [frame for frame in encoded_of(channel, frames) if frame.position > position]
            for channel in asked
        ],
        limit,
    ):
        assert len({message.seq for message in page}) <= limit
        messages += page
        position = page[-1].seq or 0
    check_sequence(messages, asked, since)
    for channel in asked:
        assert [
            json.loads(message.text)["seq"]
            for message in messages
            if json.loads(message.text)["channel"] == channel.name
        ] == [frame.position for frame in frames if frame.position > since and of(channel, frame)]


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=40), subscribed, st.data())
def test_a_deleted_frame_is_noticed(
    kinds: list[tuple[str, str]], asked: list[Channel], data: st.DataObject
) -> None:
    frames = stored(kinds)
    gone = data.draw(st.sampled_from(frames))
    since = data.draw(st.integers(0, len(frames)))
    left = [frame for frame in frames if frame is not gone]
    for channel in asked:
        head = head_of(channel, frames)
        if since < head:
            found = following(encoded_of(channel, left), since, head)
            assert (found is None) == (of(channel, gone) and gone.position > since)


class ScriptedHub:
    """A hub whose stream grows when the test says so, in place of Postgres and delivery."""

    def __init__(self, frames: list[StoredFrame], dice: st.DataObject) -> None:
        self._frames = frames
        self._dice = dice
        self._committed = dice.draw(st.integers(0, len(frames)), "committed at first")
        self._delivered = self._committed
        self._members: list[tuple[Subscriber, list[Channel]]] = []
        self.replay_turns = Turns()

    def advance(self) -> None:
        """Commit some more frames, and deliver some of those that are committed."""
        self._committed = self._dice.draw(
            st.integers(self._committed, len(self._frames)), "committed"
        )
        until = self._dice.draw(st.integers(self._delivered, self._committed), "delivered")
        for frame in self._frames[self._delivered : until]:
            for subscriber, asked in self._members:
                for channel in asked:
                    if of(channel, frame):
                        source = channel.source or Source("")
                        message = protocol.frame(frame, channel, source)
                        subscriber.deliver(channel.name, frame.position, message)
        self._delivered = until

    async def subscribe(
        self, subscriber: Subscriber, asked: list[Channel], since: int | None, **_: bool
    ) -> Start:
        for channel in asked:
            subscriber.subscribe(channel.name)
        self._members.append((subscriber, asked))
        self.advance()
        visible = self._frames[: self._committed]
        heads = {
            channel.name: max((f.position for f in visible if of(channel, f)), default=0)
            for channel in asked
        }
        self.advance()
        return Start(heads, max(heads.values()))

    async def missed(
        self, asked: list[Channel], since: int, heads: dict[str, int]
    ) -> list[Outgoing] | None:
        self.advance()
        parts = []
        for channel in asked:
            head = max(since, heads[channel.name])
            part = following(encoded_of(channel, self._frames), since, head)
            assert part is not None
            parts.append(part)
        return first_of(parts, self._dice.draw(st.integers(1, 5), "page"))

    def finish(self) -> None:
        """Commit and deliver everything."""
        self._committed = len(self._frames)
        for frame in self._frames[self._delivered :]:
            for subscriber, asked in self._members:
                for channel in asked:
                    if of(channel, frame):
                        source = channel.source or Source("")
                        message = protocol.frame(frame, channel, source)
                        subscriber.deliver(channel.name, frame.position, message)


@given(st.lists(st.sampled_from(KINDS), max_size=30), subscribed, st.data())
def test_replayed_held_and_live_frames_form_one_sequence(
    kinds: list[tuple[str, str]], asked: list[Channel], data: st.DataObject
) -> None:
    """Whatever is committed and delivered while the client is still reading what it missed."""
    frames = stored(kinds)
    script: Any = ScriptedHub(frames, data)
    since = data.draw(st.integers(0, script._committed), "since")

    async def scenario() -> list[Outgoing]:
        subscriber = Subscriber(1 << 20)
        received: list[Outgoing] = []
        feed = Feed(script, subscriber, AddressBudget(1000, 1 << 30))

        def acknowledge(_: Start) -> None:
            script.advance()

        async def read() -> None:
            while (message := await subscriber.next()) is not None:
                received.append(message)

        reading = asyncio.create_task(read())
        await feed.subscribe(asked, since, acknowledge)
        script.finish()
        await subscriber.drained()
        reading.cancel()
        return received

    received = asyncio.run(scenario())
    check_sequence(received, asked, since)
    for channel in asked:
        assert [
            json.loads(message.text)["seq"]
            for message in received
            if json.loads(message.text)["channel"] == channel.name
        ] == [frame.position for frame in frames if of(channel, frame) and frame.position > since]


@pytest.mark.parametrize("part", [None, "trades"])
def test_frames_of_other_types_break_no_chain(part: str | None) -> None:
    market = channels.of_market(MARKET_IDS[0]).name
    channel = channels.of_market(MARKET_IDS[0], part)
    frames = stored([(market, "trade"), (market, "vote"), (market, "trade")])
    messages = first_of([encoded_of(channel, frames)], 10)
    read = [json.loads(message.text) for message in messages]
    expected = [(1, 0), (2, 1), (3, 2)] if part is None else [(1, 0), (3, 1)]
    assert [(one["seq"], one["prev"]) for one in read] == expected


def test_held_frames_of_several_channels_are_sent_in_the_order_of_positions() -> None:
    subscriber = Subscriber(1 << 20)
    for name in ("a", "b"):
        subscriber.subscribe(name)
    for position, name in ((4, "b"), (5, "a"), (6, "b"), (7, "a"), (8, "b")):
        subscriber.deliver(name, position, json_message("trade", str(position).encode(), position))
    subscriber.resume({"a": 5, "b": 4})
    assert [message.seq for message in subscriber._queue] == [6, 7, 8]
