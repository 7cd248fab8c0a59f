"""Where new subscriptions begin: positions and states of one snapshot of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from api.realtime.channels import Channel
from api.realtime.merging import sources_of
from api.realtime.snapshots import load_snapshot
from zmart_pipelines.client_schemas.frames import DisplayedPrices, displayed_prices
from zmart_pipelines.store import stream_sources
from zmart_pipelines.store.queries import markets

# A client that missed more frames than this is reset.
MAX_REPLAY: Final = 500


class Start(msgspec.Struct, frozen=True):
    """Where new subscriptions begin.

    Attributes:
        heads: The newest position of each channel, by name.
        head: The newest position of those channels of which every frame is delivered.
        is_complete: Whether the stream holds all frames after ``since``, and not too many.
        snapshots: States as of these positions, by the channel's name, as JSON: of the channels
            that do not continue from ``since``, and of conflated ones that have changed since then.
        prices: The prices of each market of which everything is subscribed to, by its channel's
            name; absent where the market is not on chain.
    """

    heads: Mapping[str, int]
    head: int
    is_complete: bool = True
    snapshots: Mapping[str, msgspec.Raw] = {}
    prices: Mapping[str, DisplayedPrices] = {}

    def with_state(self, channel: Channel, since: int | None, seq: int, state: Any) -> Start:
        """Return the same with the state of a conflated channel that is not stored.

        Args:
            channel: That channel.
            since: The ``seq`` that the client has; None: it has no state.
            seq: Of the state.
            state: The whole state.
        """
        heads = {**self.heads, channel.name: seq}
        if since is not None and seq <= since:
            return msgspec.structs.replace(self, heads=heads)
        shown = msgspec.Raw(msgspec.json.encode(state))
        snapshots = {**self.snapshots, channel.name: shown}
        return msgspec.structs.replace(self, heads=heads, snapshots=snapshots)


def load_start(
    conn: Connection, channels: Sequence[Channel], since: int | None, *, with_snapshots: bool
) -> Start:
    """Return where to begin.

    Args:
        conn: A transaction whose statements all see the same state.
        channels: That a client subscribes to.
        since: The position up to which it has everything; None: it has nothing.
        with_snapshots: Whether to read states.
    """
    heads = _heads(conn, channels)
    head = max((heads[one.name] for one in channels if not one.is_conflated), default=0)
    is_complete = since is None or _is_stored(conn, channels, since, head)
    if since is None or not is_complete:
        wanted = list(channels)
    else:
        wanted = [one for one in channels if one.is_conflated and heads[one.name] > since]
    snapshots: dict[str, msgspec.Raw] = {}
    for channel in wanted if with_snapshots else ():
        state = load_snapshot(conn, channel)
        if state is not None:
            snapshots[channel.name] = state
    return Start(heads, head, is_complete, snapshots, load_prices(conn, channels))


def _heads(conn: Connection, channels: Sequence[Channel]) -> dict[str, int]:
    sources = {channel.name: channel.source for channel in channels if channel.source is not None}
    positions = stream_sources.heads(conn, list(sources.values()))
    return dict.fromkeys((channel.name for channel in channels), 0) | dict(
        zip(sources, positions, strict=True)
    )


def _is_stored(conn: Connection, channels: Sequence[Channel], since: int, head: int) -> bool:
    """Return whether the frames between the positions are few enough to be sent."""
    if since >= head:
        return True
    missed = stream_sources.count(conn, sources_of(channels), since, limit=MAX_REPLAY + 1)
    return missed <= MAX_REPLAY


def load_prices(conn: Connection, channels: Sequence[Channel]) -> dict[str, DisplayedPrices]:
    """Return the prices of each market of which everything is subscribed to, by its channel."""
    names = {
        channel.market_id: channel.name
        for channel in channels
        if channel.market_id is not None and channel.part is None
    }
    if not names:
        return {}
    rows = markets.by_ids(conn, list(names))
    return {names[market_id]: displayed_prices(row) for market_id, row in rows.items()}
