"""How a client of any transport subscribes: an answer, the frames it missed, then live frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from api.realtime import protocol
from api.realtime.address_budget import AddressBudget
from api.realtime.channels import Channel
from api.realtime.hub import Hub
from api.realtime.start import Start
from api.realtime.subscriber import Subscriber

# Why missed frames are not sent: a code for programs, and a text.
_NOT_STORED = ("too_old", "Missed frames are no longer stored, or too many")
_TOO_MUCH = ("too_much", "This address was sent too many missed frames in a minute")


class Reset(msgspec.Struct, frozen=True):
    """`data` of a `reset` message: frames were left out, begin again from `snapshot`.

    `snapshot` is the state as of the message's `seq`; where it is absent, read REST. `reason` is
    `too_old` (the frames are no longer stored, or too many) or `too_much` (the address was sent too
    many bytes of missed frames in a minute).
    """

    reason: str
    message: str
    snapshot: msgspec.Raw | UnsetType = UNSET


class Feed:
    """Subscriptions of one client, out of the budget of its address."""

    def __init__(
        self,
        hub: Hub,
        subscriber: Subscriber,
        budget: AddressBudget,
        *,
        repeats_states: bool = False,
    ) -> None:
        """Subscribe to nothing.

        Args:
            hub: Delivers the frames.
            subscriber: Receives them.
            budget: Of the client's address.
            repeats_states: Whether a client that resumes is sent the newest state of each
                conflated channel even if it is not newer than ``since``: the position that it names
                may be that of a frame on another channel, which was sent before the state.
        """
        self._repeats_states = repeats_states
        self._hub = hub
        self._subscriber = subscriber
        self._budget = budget

    async def located(self, channel: Channel) -> Channel:
        """Return ``channel`` with its market's id where it was named by the market's address."""
        return await self._hub.located(channel)

    async def subscribe(
        self,
        channels: Sequence[Channel],
        since: int | None,
        acknowledge: Callable[[Start], None],
    ) -> None:
        """Send what the client missed on ``channels``, in one order, then their live frames.

        Where missed frames cannot be sent, a ``reset`` for each channel takes their place. Of a
        conflated channel only the newest state is sent.

        Args:
            channels: That the caller may subscribe to.
            since: The position up to which the client has all their frames; None: it has none.
            acknowledge: Sends the answer, before the missed frames.
        """
        start = await self._hub.subscribe(
            self._subscriber, channels, since, with_snapshots=self._has_budget()
        )
        try:
            acknowledge(start)
            missing: tuple[str, str] | None = _NOT_STORED
            if start.is_complete:
                missing = await self._send_missed(channels, since, start)
            if missing is not None:
                start = await self._reset(channels, start, *missing)
            elif since is not None:
                if self._repeats_states:
                    start = await self._with_states(channels, start)
                self._send_states(channels, start)
        except BaseException:
            self.unsubscribe(channels)
            raise
        self._spend(start)
        self._subscriber.resume(start.heads)

    @property
    def channels(self) -> Sequence[Channel]:
        """What the client receives."""
        return self._hub.channels_of(self._subscriber)

    def unsubscribe(self, channels: Sequence[Channel]) -> None:
        """End subscriptions."""
        for channel in channels:
            self._hub.unsubscribe(self._subscriber, channel)

    def _has_budget(self) -> bool:
        return not self._budget.replayed_bytes.is_empty()

    def _spend(self, start: Start) -> None:
        for state in start.snapshots.values():
            self._budget.replayed_bytes.spend(len(state))

    async def _reset(
        self, channels: Sequence[Channel], start: Start, reason: str, message: str
    ) -> Start:
        """Tell the client to begin again, and return where."""
        if start.is_complete:
            start = await self._hub.start(channels, None, with_snapshots=self._has_budget())
        for channel in channels:
            data = Reset(
                reason,
                f"{message}; continue from the snapshot, or read REST again",
                start.snapshots.get(channel.name, UNSET),
            )
            seq = start.heads[channel.name]
            self._subscriber.push(protocol.reply("reset", data, channel=channel, seq=seq))
        return start

    async def _with_states(self, channels: Sequence[Channel], start: Start) -> Start:
        """Return ``start`` with the newest state of each conflated channel."""
        missing = [one for one in channels if one.is_conflated and one.name not in start.snapshots]
        if not missing:
            return start
        newest = await self._hub.start(missing, None, with_snapshots=self._has_budget())
        return msgspec.structs.replace(
            start,
            heads={**start.heads, **newest.heads},
            snapshots={**start.snapshots, **newest.snapshots},
        )

    def _send_states(self, channels: Sequence[Channel], start: Start) -> None:
        """Send the newest states of conflated channels."""
        for channel in channels:
            state = start.snapshots.get(channel.name)
            if state is not None:
                self._subscriber.push(protocol.state(channel, start.heads[channel.name], state))

    async def _send_missed(
        self, channels: Sequence[Channel], since: int | None, start: Start
    ) -> tuple[str, str] | None:
        """Send the frames from ``since`` to the heads, as fast as the client takes them.

        Returns:
            Why some of them are not sent; None where all are.
        """
        position = start.head if since is None else since
        while position < start.head and not self._subscriber.has_overflowed:
            if not self._has_budget():
                return _TOO_MUCH
            messages = await self._hub.missed(channels, position, start.heads)
            if messages is None:
                return _NOT_STORED
            # So that other requests are served too while many clients are sent what they missed.
            await self._hub.replay_turns.give_way()
            self._budget.replayed_bytes.spend(sum(map(len, messages)))
            self._subscriber.push_all(messages)
            position = messages[-1].seq or position
            await self._subscriber.drained()
        return None
