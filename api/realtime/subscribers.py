"""Who receives which channel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from api.realtime.channels import Channel
from api.realtime.subscriber import Subscriber, Subscription
from zmart_pipelines.store.stream_sources import Source


class Audience:
    """The subscribers of one channel.

    Attributes:
        channel: What they receive.
        members: They, with their subscriptions.
        head: The position of the newest frame that was delivered to all; 0 before the first.
    """

    __slots__ = ("channel", "head", "members")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.members: dict[Subscriber, Subscription] = {}
        self.head = 0


class Subscribers:
    """The subscriptions of one process, found by source, by channel and by subscriber.

    A subscriber that overflowed has forgotten its own; here they stay until ``remove_all``.
    """

    def __init__(self) -> None:
        self._audiences: dict[Channel, Audience] = {}
        self._channels: dict[Subscriber, dict[str, Channel]] = defaultdict(dict)
        self._by_source: dict[Source, list[Audience]] = defaultdict(list)

    def add(self, subscriber: Subscriber, channel: Channel) -> None:
        """Subscribe, in place of any channel that has the same name; the frames are held."""
        self.remove(subscriber, channel)
        subscription = subscriber.subscribe(channel.name)
        self._channels[subscriber][channel.name] = channel
        audience = self._audiences.get(channel)
        if audience is None:
            audience = self._audiences[channel] = Audience(channel)
            if channel.source is not None:
                self._by_source[channel.source].append(audience)
        audience.members[subscriber] = subscription

    def remove(self, subscriber: Subscriber, channel: Channel) -> None:
        """End the subscription to the channel of this name, if there is one."""
        subscriber.unsubscribe(channel.name)
        own = self._channels.get(subscriber, {})
        subscribed = own.pop(channel.name, None)
        if subscribed is None:
            return
        if not own:
            del self._channels[subscriber]
        audience = self._audiences[subscribed]
        # An overflowed subscriber has forgotten it.
        audience.members.pop(subscriber).end()
        if not audience.members:
            self._dismiss(audience)

    def _dismiss(self, audience: Audience) -> None:
        channel = audience.channel
        del self._audiences[channel]
        if channel.source is not None:
            self._by_source[channel.source].remove(audience)
            if not self._by_source[channel.source]:
                del self._by_source[channel.source]

    def remove_all(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a subscriber."""
        for channel in self.channels(subscriber):
            self.remove(subscriber, channel)

    def channels(self, subscriber: Subscriber) -> Sequence[Channel]:
        """Return what a subscriber receives."""
        return tuple(self._channels.get(subscriber, {}).values())

    def of(self, channel: Channel) -> Collection[Subscriber]:
        """Return who receives ``channel``."""
        audience = self._audiences.get(channel)
        return () if audience is None else audience.members.keys()

    def subscriptions(self, channel: Channel) -> Sequence[Subscription]:
        """Return the subscriptions to ``channel`` of now."""
        audience = self._audiences.get(channel)
        return () if audience is None else tuple(audience.members.values())

    def of_source(self, source: Source) -> Sequence[Audience]:
        """Return who receives the frames of ``source``, or what is derived from them."""
        return self._by_source.get(source, ())

    def heads(self, subscriber: Subscriber) -> dict[str, int]:
        """Return the newest position of each channel of a subscriber that is not held back.

        Of a conflated channel it is that of the newest state that was sent.
        """
        heads: dict[str, int] = {}
        for name, channel in self._channels.get(subscriber, {}).items():
            subscription = subscriber.channels.get(name)
            if subscription is not None and subscription.held is None:
                head = 0 if channel.is_conflated else self._audiences[channel].head
                # What was replayed may be newer than what was read for live delivery.
                heads[name] = max(head, subscription.last)
        return heads
