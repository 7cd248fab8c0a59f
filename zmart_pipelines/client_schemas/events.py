"""Events of the program as clients read them."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from zmart_pipelines.client_schemas.formats import base58_signature, chain_time, iso8601
from zmart_pipelines.program.events import EVENT_TYPES
from zmart_pipelines.store.queries import events

EVENT_NAMES = tuple(event.__name__ for event in EVENT_TYPES)

# How a transaction came to the ledger, by the bits of ``ledger.model.provenance.Source``.
SourceName = Literal["webhook", "confirmed_poll", "finalized_window", "backfill"]
_SOURCES: tuple[SourceName, ...] = ("webhook", "confirmed_poll", "finalized_window", "backfill")

Level = Literal["orphaned", "reported", "confirmed", "finalized"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the program at its place in the chain.

    `id` is the signature and the line of the log. `data` holds the event's fields by the program's
    names: amounts in lamports, shares and prices with 9 decimals, times in Unix seconds, keys in
    base58. `exact` repeats each of its integers as text. `wallet` is the wallet that the event
    names first: the one that sent the transaction; null where the backend sent it. `block_time` is
    that of the transaction's block, `sources` is who reported the transaction. `index_in_block` is
    null until a source reports it. `type` and `data` are null where the line cannot be decoded;
    `quarantine_reason` says why.
    """

    id: str
    type: str | None
    slot: int
    index_in_block: int | None
    log_index: int
    signature: str
    block_time: str | None
    market_id: str | None
    wallet: str | None
    data: dict[str, Any] | None
    exact: dict[str, str]
    quarantine_reason: str | None
    commitment: Level
    sources: list[SourceName]
    first_seen_at: str


def event(row: events.Event) -> Event:
    """Return an event as clients read it."""
    signature = base58_signature(row.signature)
    return Event(
        id=f"{signature}:{row.log_index}",
        type=row.name,
        slot=row.slot,
        index_in_block=row.index_in_block,
        log_index=row.log_index,
        signature=signature,
        block_time=chain_time(row.block_time),
        market_id=None if row.market_id is None else row.market_id.hex(),
        wallet=row.wallet,
        data=row.data,
        exact=_exact(row.data or {}),
        quarantine_reason=row.quarantine_reason,
        commitment=level(row.commitment),
        sources=source_names(row.sources),
        first_seen_at=iso8601(row.first_seen_at),
    )


def _exact(data: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(value)
        for name, value in data.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }


def level(commitment: str) -> Level:
    """Return a commitment of the ledger as clients read it."""
    return cast(Level, commitment)


def source_names(bits: int) -> list[SourceName]:
    """Return the names of the sources that reported a transaction."""
    return [name for place, name in enumerate(_SOURCES) if bits >> place & 1]
