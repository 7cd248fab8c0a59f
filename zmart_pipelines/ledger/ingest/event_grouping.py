"""Grouping the events of readings by the market they belong to. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from zmart_pipelines.ledger.model.decode import Reading
from zmart_pipelines.ledger.model.projection import PlacedEvent
from zmart_pipelines.ledger.rows.market_rows import event_place


def placed_events(readings: Iterable[Reading]) -> Iterator[PlacedEvent]:
    """Yield the decoded events that concern a market, each with its place in the chain."""
    for reading in readings:
        for event in reading.events:
            if event.event is None or event.market is None:
                continue
            place = event_place(
                reading.signature, event.log_index, reading.slot, reading.index_in_block
            )
            yield PlacedEvent(place, event.event, event.market, event.instruction)


def group_by_market(
    events: Iterable[PlacedEvent], market_ids: Mapping[bytes, bytes]
) -> dict[bytes, list[PlacedEvent]]:
    """Group events by market id; events of markets without a known id are left out.

    Args:
        events: in any order.
        market_ids: market ids by address.
    """
    grouped: dict[bytes, list[PlacedEvent]] = defaultdict(list)
    for event in events:
        market_id = market_ids.get(event.address)
        if market_id is not None:
            grouped[market_id].append(event)
    return grouped
