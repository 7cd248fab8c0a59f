"""State that must not depend on how it arrived: ledger, projection, what clients know."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Engine, text

from zmart_pipelines.store.tables import metadata, ops

# Columns that say how and when a row arrived, which may differ.
_CIRCUMSTANCES: Final = frozenset(
    {
        "sources",
        "delivery_id",
        "first_seen_at",
        "confirmed_at",
        "finalized_at",
        "xid",
        "updated_at",
        "refolded_at",
        "id",
    }
)
# Counts that concurrent writers spread over rows; their sums are compared with the markets by the
# check ``counts_match_markets``.
_SPLIT_ROWS: Final = frozenset({"market.market_counts"})
_LEDGER: Final = ("chain.transactions", "chain.events")
_TIMES_OF_THE_CHAIN: Final = "market."


class TableState(msgspec.Struct, frozen=True):
    """A table's rows, their number and their digest in any order."""

    rows: int
    digest: str


def tables() -> list[str]:
    """The ledger's tables and those of the projection."""
    return [
        *_LEDGER,
        *sorted(
            one for one in metadata.tables if one.startswith("market.") and one not in _SPLIT_ROWS
        ),
    ]


def state(engine: Engine) -> dict[str, TableState]:
    """The state of the ledger and of the projection, by table."""
    found = {}
    with engine.connect() as conn:
        for name in tables():
            # A market's finalized_at is the chain's word, a transaction's is our clock.
            ignored = _CIRCUMSTANCES - (
                {"finalized_at"} if name.startswith(_TIMES_OF_THE_CHAIN) else set()
            )
            columns = [one.name for one in metadata.tables[name].columns if one.name not in ignored]
            whole = ", ".join(f't."{one}"' for one in columns)
            row = conn.execute(
                text(
                    f"SELECT count(*), coalesce(md5(string_agg(line, '' ORDER BY line)), '')"
                    f" FROM (SELECT md5(row({whole})::text) AS line FROM {name} AS t) AS lines"
                )
            ).one()
            found[name] = TableState(row[0], row[1])
    return found


def known_to_clients(engine: Engine) -> dict[str, dict[str, Any]]:
    """What a client that applied every frame knows at the end, by channel.

    The newest frame of each trade, each wallet's vote and the market, without the level of
    commitment, which the frames tell only when something else changes.
    """
    known: dict[str, dict[str, Any]] = {}
    with engine.connect() as conn:
        frames = conn.execute(ops.stream.select().order_by(ops.stream.c.position))
        for frame in frames:
            payload = frame.payload
            match frame.type:
                case "trade":
                    key = payload["id"]
                case "vote":
                    key = f"{payload['kind']} {payload['user']}"
                    # Running counts are of the moment; the market's frame has the last ones.
                    payload = {
                        name: payload[name] for name in payload if not name.startswith("votes_")
                    }
                    payload.pop("total")
                    payload.pop("exact")
                case "position" | "claim":
                    continue  # compared with REST after each batch by the tests of wallets' frames
                case _:
                    key, payload = payload["market_id"], payload["market"]
            payload.pop("commitment", None)
            known.setdefault(frame.channel, {})[key] = payload
    return known
