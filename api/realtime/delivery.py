"""Frames that were read together, on their way to the subscribers of their channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from api.realtime.outgoing import Outgoing
from api.realtime.subscriber import Subscriber, Subscription
from api.realtime.subscribers import Audience
from api.realtime.turns import Turns

# After so many subscribers the clock is read.
_SUBSCRIBERS_AT_ONCE = 50
Waiting: TypeAlias = list[tuple[Subscription, "_Message"]]


class _Message(NamedTuple):
    position: int
    message: Outgoing


class Delivery:
    """Messages for audiences; each subscriber gets all of its own in one write.

    A write costs several times as much as all else that is done for a subscriber.

    Attributes:
        size: The bytes of the messages.
    """

    def __init__(self) -> None:
        self.size = 0
        self._messages: list[tuple[Audience, _Message]] = []

    def add(self, audience: Audience, position: int, message: Outgoing) -> None:
        """Add a frame of the audience's channel, in the order of the positions."""
        self._messages.append((audience, _Message(position, message)))
        self.size += len(message)

    async def send(self, turns: Turns) -> None:
        """Send everything to those who are subscribed now; others wait no longer than a turn.

        What a subscriber is sent, and the position that it then has, change in the same moment, so
        that no heartbeat tells it of a frame that is still on its way.
        """
        if len(self._messages) == 1:
            await self._send_one(turns, *self._messages[0])
        else:
            await self._send_several(turns)
        for audience, (position, _) in self._messages:
            audience.head = position

    async def _send_one(self, turns: Turns, audience: Audience, one: _Message) -> None:
        position, message = one
        subscriptions = tuple(audience.members.values())
        for start in range(0, len(subscriptions), _SUBSCRIBERS_AT_ONCE):
            for subscription in subscriptions[start : start + _SUBSCRIBERS_AT_ONCE]:
                subscription.deliver(position, message)
            await turns.give_way()

    async def _send_several(self, turns: Turns) -> None:
        waiting: dict[Subscriber, Waiting] = {}
        for audience, one in self._messages:
            for subscriber, subscription in audience.members.items():
                waiting.setdefault(subscriber, []).append((subscription, one))
        for number, (subscriber, messages) in enumerate(waiting.items(), 1):
            subscriber.push_all(_accepted(messages))
            if number % _SUBSCRIBERS_AT_ONCE == 0:
                await turns.give_way()


def _accepted(waiting: Iterable[tuple[Subscription, _Message]]) -> list[Outgoing]:
    """Return the messages that are not held for a subscriber, nor sent to it before."""
    return [one.message for subscription, one in waiting if subscription.accepts(*one)]
