"""Markets and positions as they were after a slot, from the ledger as it is known now.

Where a fork was dropped since then, the state of the surviving one is returned: the one that the
chain's accounts had at that slot.
"""

from __future__ import annotations

from collections.abc import Collection

from solders.pubkey import Pubkey
from sqlalchemy import Connection, select

from zmart_pipelines.ledger.model import fold
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.projection import PositionRow, Projection
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.store.tables import market


def fold_as_of(
    conn: Connection,
    market_ids: Collection[bytes],
    program: Pubkey,
    slot: int,
    timeline: Timeline,
    *,
    max_events: int | None = None,
) -> dict[bytes, Projection]:
    """Return the markets and positions as they were after ``slot``, by market id.

    Stored rows are used for markets without later events; the others are folded.

    Args:
        max_events: Most events to read; None: no limit.

    Raises:
        TooManyEvents: More events are needed.
    """
    current = {
        market_id: Projection(market=row)
        for market_id, row in market_rows.load_markets(conn, market_ids).items()
        if row.as_of_slot <= slot
    }
    table = market.positions
    columns = [table.c[name] for name in PositionRow.__struct_fields__]
    for values in conn.execute(select(*columns).where(table.c.market_id.in_(list(current)))):
        position = PositionRow(*values)
        current[position.market_id].positions[position.user] = position
    past = [market_id for market_id in market_ids if market_id not in current]
    stored = market_rows.load_market_events(
        conn, past, program, until_slot=slot, max_events=max_events
    )
    return current | {
        market_id: fold.fold((event.placed for event in events), timeline)
        for market_id, events in stored.items()
    }
