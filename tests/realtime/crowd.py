"""Many clients that come, go and come back at random, and what they have seen together."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET

from tests.realtime.channel_state import PRICES, SYSTEM, WALLET
from tests.realtime.client_model import ChannelView, Faults, StateView, Step
from tests.realtime.messages import Message, decode_beginning

# How often a client takes more channels, and the seconds between two of its connections. Polls that
# follow each other faster would exceed what an address may send in a minute.
_ADDS: Final = 0.1
# Faults that are described; the others are counted.
_MAX_EXAMPLES: Final = 20
_PAUSE: Final = (0.5, 2.5)


class SeenFrames:
    """Every frame that any client received, once; all must have received the same."""

    def __init__(self) -> None:
        self.altered = 0
        self._types: dict[tuple[str, int], str] = {}
        self._contents: dict[tuple[str, int], bytes] = {}
        self._decoded: dict[tuple[str, int], Any] = {}

    def add(self, channel: str, position: int, message: Message) -> None:
        """Compare a frame with what others received at its position."""
        key = channel, position
        content = bytes(message.data)
        known = self._contents.setdefault(key, content)
        if known != content or self._types.setdefault(key, message.type) != message.type:
            self.altered += 1

    def __getitem__(self, key: tuple[str, int]) -> tuple[str, Any]:
        """Return type and ``data`` of the frame of a channel at a position."""
        if key not in self._decoded:
            self._decoded[key] = msgspec.json.decode(self._contents[key])
        return self._types[key], self._decoded[key]


class Client:
    """One client with its channels, over all its connections.

    Attributes:
        cursor: The position for all its channels, of a transport that names only one.
    """

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.number = number
        # A limited number of connections is allowed for an address.
        self.address = f"127.2.{number // 8 // 250}.{1 + number // 8 % 250}"
        self.dice = random.Random(f"{crowd.seed}:{number}")
        self.views: dict[str, ChannelView | StateView] = {}
        self.cursor: int | None = None
        self.crowd = crowd

    def choose(self, channels: Sequence[str]) -> None:
        """Take one to three of these channels beside those it has."""
        for channel in self.dice.sample(channels, min(len(channels), self.dice.randint(1, 3))):
            self.follow(channel)

    def follow(self, channel: str) -> None:
        """Take this channel beside those it has."""
        is_conflated = channel == SYSTEM or channel.endswith(PRICES)
        kind = StateView if is_conflated else ChannelView
        self.views.setdefault(channel, kind(self.crowd.faults))

    @property
    def wallet(self) -> str | None:
        """The address of the wallet whose private channel it follows."""
        private = (one for one in self.views if one.startswith(WALLET))
        return next((one.removeprefix(WALLET) for one in private), None)

    def subscribing(self) -> Sequence[str]:
        """Note that all channels are subscribed to now, and return them."""
        for view in self.views.values():
            view.subscribing()
        return list(self.views)

    def resumed(self) -> None:
        """Note that all channels go on from where they were, without an acknowledgement."""
        for view in self.views.values():
            view.acknowledged(view.position or 0)

    def lowest_position(self) -> int:
        """Return the position in the stream up to which everything is there on all channels.

        The states of the system are numbered by their time.
        """
        stored = (view.position or 0 for name, view in self.views.items() if name != SYSTEM)
        return min(stored, default=0)

    def take(self, message: Message) -> Step:
        """Apply a message of the server, and describe it if it must not have come."""
        view = None if message.channel is UNSET else self.views.get(message.channel)
        position = None if view is None else view.position
        before = dataclasses.replace(self.crowd.faults)
        step = self._apply(message)
        if self.crowd.faults != before and len(self.crowd.examples) < _MAX_EXAMPLES:
            self.crowd.examples.append(
                f"client {self.number} at {position}, cursor {self.cursor}, received"
                f" {message.type} {message.seq} of {message.channel}"
            )
        return step

    def _apply(self, message: Message) -> Step:
        if message.type == "heartbeat":
            return self._compare(message)
        view = None if message.channel is UNSET else self.views.get(message.channel)
        if view is None or message.seq is UNSET:
            if message.type == "error":
                self.crowd.errors.append(message.content().get("error", ""))
            return Step.GO_ON
        if isinstance(view, StateView):
            return self._take_state(view, message, message.seq)
        if message.prev is not UNSET:
            self.crowd.seen.add(str(message.channel), message.seq, message)
            self.crowd.counts["frames"] += 1
            return view.frame(message.seq, message.prev)
        self._begin(view, message, message.seq)
        return Step.GO_ON

    def _take_state(self, view: StateView, message: Message, position: int) -> Step:
        if message.conflated:
            self.crowd.counts["states"] += 1
            return view.state(position, bytes(message.data))
        self._begin(view, message, position)
        return Step.GO_ON

    def _begin(self, view: ChannelView | StateView, message: Message, head: int) -> None:
        """Take an acknowledgement or a ``reset``."""
        given = decode_beginning(message.data).snapshot
        snapshot = b"" if given is UNSET else bytes(given)
        if message.type == "reset":
            self.crowd.counts["resets"] += 1
            view.reset(head, snapshot)
        else:
            view.acknowledged(head, snapshot)

    def _compare(self, message: Message) -> Step:
        self.crowd.counts["heartbeats"] += 1
        steps = [
            self.views[channel].head(head)
            for channel, head in message.content()["heads"].items()
            if channel in self.views
        ]
        return Step.SUBSCRIBE_AGAIN if Step.SUBSCRIBE_AGAIN in steps else Step.GO_ON


class Transport(Protocol):
    """How a client connects.

    Attributes:
        adds_channels: Whether a channel can be added to those that have a position.
    """

    adds_channels: bool

    async def serve(self, client: Client) -> None:
        """Serve one connection until it breaks or this is cancelled."""


class Crowd:
    """The clients, and what is counted over all of them.

    Attributes:
        is_restless: Clients abort their connections at random while it is set.
        life: Mean seconds of a connection meanwhile.
    """

    def __init__(self, seed: int, size: int, life: float) -> None:
        self.seed = seed
        self.life = life
        self.faults = Faults()
        self.seen = SeenFrames()
        self.errors: list[str] = []
        self.examples: list[str] = []
        self.counts: Counter[str] = Counter()
        self.is_restless = True
        self.clients = [Client(self, number) for number in range(size)]

    async def run(
        self,
        transports: Sequence[Transport],
        channels: Callable[[], Sequence[str]],
        join_seconds: float,
    ) -> None:
        """Let every client join within ``join_seconds`` and stay until this is cancelled.

        Args:
            transports: Are assigned to the clients in turn.
            channels: Returns those that can be chosen at the moment.
            join_seconds: Within which they join, one after the other at random.
        """
        async with asyncio.TaskGroup() as group:
            for client in self.clients:
                transport = transports[client.number % len(transports)]
                group.create_task(self._live(client, transport, channels, join_seconds))

    async def _live(
        self,
        client: Client,
        transport: Transport,
        channels: Callable[[], Sequence[str]],
        join_seconds: float,
    ) -> None:
        await asyncio.sleep(client.dice.uniform(0, join_seconds))
        client.choose(channels())
        while True:
            self.counts["connections"] += 1
            try:
                async with asyncio.timeout(self._lifetime(client)):
                    await transport.serve(client)
            except TimeoutError:
                self.counts["aborted"] += 1
            if transport.adds_channels and self.is_restless and client.dice.random() < _ADDS:
                client.choose(channels())
            await asyncio.sleep(client.dice.uniform(*_PAUSE))

    def _lifetime(self, client: Client) -> float | None:
        return client.dice.expovariate(1 / self.life) if self.is_restless else None
