"""Statements that read the events to fold, and read and write the projection (``market``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import astuple
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Table, delete, func, select, update

from zmart_pipelines.ledger.model.config_timeline import (
    CONFIG_EVENTS,
    UNKNOWN_INDEX,
    Change,
    Configuration,
    Place,
)
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.projection import (
    ClaimRow,
    MarketRow,
    PlacedEvent,
    PositionRow,
    Projection,
    TradeRow,
    VoteRow,
    WithdrawalRow,
)
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.program.events import Event, decode_event
from zmart_pipelines.store.binary_arrays import keys
from zmart_pipelines.store.bulk_statements import insert_rows, insertion, upsertion
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.statement_pipeline import Statement, pipelined, run
from zmart_pipelines.store.tables import market as tables

T = TypeVar("T", bound=msgspec.Struct)

_ANY_SLOT = 2**63 - 1
_CHILDREN = (
    tables.positions,
    tables.trades,
    tables.claims,
    tables.chain_votes,
    tables.withdrawals,
)

_EVENTS = """
SELECT signature, log_index, slot, index_in_block, raw, instruction, market_id, commitment::text
FROM chain.events
WHERE {where} AND commitment <> 'orphaned' AND quarantine_reason IS NULL AND slot <= %b
"""
_EVENTS_OF_MARKETS = _EVENTS.format(where="market_id = ANY(%b)") + "LIMIT %b"
_EVENTS_OF_CONFIGURATION = _EVENTS.format(where="name = ANY(%b)")


class TooManyEvents(Exception):
    """More events than the caller permits would have to be read."""


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of the ledger and its commitment."""

    placed: PlacedEvent
    commitment: Commitment


def event_place(signature: bytes, log_index: int, slot: int, index_in_block: int | None) -> Place:
    """Return the place of an event; an unknown index sorts last in its slot."""
    return Place(
        slot, UNKNOWN_INDEX if index_in_block is None else index_in_block, signature, log_index
    )


def load_market_events(
    conn: Connection,
    market_ids: Collection[bytes],
    program: Pubkey,
    *,
    until_slot: int = _ANY_SLOT,
    max_events: int | None = None,
) -> dict[bytes, list[StoredEvent]]:
    """Load the events of these markets up to a slot, by market id, in no order.

    Orphaned and quarantined events are left out. Every requested market is in the answer.

    Raises:
        TooManyEvents: There are more than ``max_events``.
    """
    found: dict[bytes, list[StoredEvent]] = {market_id: [] for market_id in market_ids}
    if not found:
        return found
    with pipelined(conn) as send:
        stored = send(
            Statement(
                _EVENTS_OF_MARKETS,
                (keys(list(found)), until_slot, None if max_events is None else max_events + 1),
            )
        ).fetchall()
    if max_events is not None and len(stored) > max_events:
        raise TooManyEvents
    addresses = {market_id: market_address_bytes(program, market_id) for market_id in found}
    levels = {level.value: level for level in Commitment}
    for signature, log_index, slot, index, raw, instruction, market_id, commitment in stored:
        place = Place(slot, UNKNOWN_INDEX if index is None else index, signature, log_index)
        placed = PlacedEvent(place, decode_event(raw), addresses[market_id], instruction)
        found[market_id].append(StoredEvent(placed, levels[commitment]))
    return found


def load_configuration_events(conn: Connection) -> list[tuple[Place, Event]]:
    """Load the events of the configuration, in no order; orphaned ones are left out."""
    names = [event.__name__ for event in CONFIG_EVENTS]
    stored = execute(conn, _EVENTS_OF_CONFIGURATION, names, _ANY_SLOT)
    return [
        (event_place(signature, log_index, slot, index), decode_event(raw))
        for signature, log_index, slot, index, raw, *_ in stored
    ]


def _columns(cls: type[msgspec.Struct], alias: str) -> str:
    return ", ".join(f'{alias}."{name}"' for name in cls.__struct_fields__)


_CHANGES: Final = """
SELECT c.slot, c.index_in_block, c.signature, c.log_index, c.changed_at, {}
FROM market.config_history AS c
""".format(_columns(Configuration, "c"))


def configuration_changes_statement() -> Statement:
    """Build the statement whose rows ``change_from_row`` reads."""
    return Statement(_CHANGES)


def change_from_row(row: Sequence[Any]) -> Change:
    """Read a row of ``configuration_changes_statement``."""
    return Change(Place(*row[:4]), row[4], Configuration(*row[5:]))


def load_configuration_changes(conn: Connection) -> list[Change]:
    """Load the configuration's history as projected."""
    return [change_from_row(row) for row in run(conn, configuration_changes_statement())]


def replace_configuration_changes(conn: Connection, changes: Iterable[Change]) -> None:
    """Replace the configuration's history."""
    conn.execute(delete(tables.config_history))
    insert_rows(
        conn,
        tables.config_history,
        [
            {
                "signature": change.place.signature,
                "log_index": change.place.log_index,
                "slot": change.place.slot,
                "index_in_block": change.place.index_in_block,
                "changed_at": change.changed_at,
                **msgspec.structs.asdict(change.configuration),
            }
            for change in changes
        ],
    )


def _decimals_to_int(values: Iterable[Any]) -> list[Any]:
    """Return the values with the driver's decimals as integers."""
    return [int(value) if isinstance(value, Decimal) else value for value in values]


def load_markets(conn: Connection, market_ids: Collection[bytes]) -> dict[bytes, MarketRow]:
    """Load the markets as projected, by id; those without a row are absent."""
    return {
        row.market_id: row
        for row in _load_rows_of_markets(conn, tables.markets, MarketRow, market_ids)
    }


_ROWS_OF_MARKETS = "SELECT {} FROM {} AS t WHERE t.market_id = ANY(%b)"


def _load_rows_of_markets(
    conn: Connection, table: Table, cls: type[T], market_ids: Collection[bytes]
) -> list[T]:
    query = _ROWS_OF_MARKETS.format(_columns(cls, "t"), table.fullname)
    with pipelined(conn) as send:
        found = send(Statement(query, (keys(list(market_ids)),))).fetchall()
    return [cls(*_decimals_to_int(row)) for row in found]


def load_market_ids(conn: Connection, addresses: Collection[bytes]) -> dict[bytes, bytes]:
    """Load the ids of projected markets, by address; unknown addresses are absent."""
    if not addresses:
        return {}
    table = tables.markets
    found = conn.execute(
        select(table.c.address, table.c.market_id).where(table.c.address.in_(list(addresses)))
    )
    return {row[0]: row[1] for row in found}


_POSITIONS = """
SELECT {} FROM market.positions AS p
JOIN unnest(%b::bytea[], %b::bytea[]) AS requested (market_id, "user") USING (market_id, "user")
""".format(_columns(PositionRow, "p"))


def load_positions(
    conn: Connection, holders: Collection[tuple[bytes, bytes]]
) -> dict[bytes, dict[bytes, PositionRow]]:
    """Load positions by market id and user.

    Args:
        holders: pairs of market id and user.
    """
    found: dict[bytes, dict[bytes, PositionRow]] = defaultdict(dict)
    if holders:
        sent = (keys([pair[0] for pair in holders]), keys([pair[1] for pair in holders]))
        for values in run(conn, Statement(_POSITIONS, sent)):
            row = position_from_row(values)
            found[row.market_id][row.user] = row
    return found


_MARKETS_BY_ADDRESS = """
SELECT {}, m.commitment::text FROM market.markets AS m WHERE m.address = ANY(%b)
""".format(_columns(MarketRow, "m"))

_POSITIONS_BY_ADDRESS = """
SELECT {} FROM unnest(%b::bytea[], %b::bytea[]) AS requested (address, "user")
JOIN market.markets AS m USING (address)
JOIN market.positions AS p ON p.market_id = m.market_id AND p."user" = requested."user"
""".format(_columns(PositionRow, "p"))


def markets_by_address_statement(addresses: Collection[bytes]) -> Statement:
    """Build the statement whose rows ``market_from_row`` reads."""
    return Statement(_MARKETS_BY_ADDRESS, (keys(list(addresses)),))


def market_from_row(row: Sequence[Any]) -> tuple[MarketRow, Commitment]:
    """Read a market and its commitment from a row of ``markets_by_address_statement``."""
    return MarketRow(*_decimals_to_int(row[:-1])), Commitment(row[-1])


def positions_by_address_statement(holders: Collection[tuple[bytes, bytes]]) -> Statement:
    """Build the statement whose rows ``position_from_row`` reads.

    Args:
        holders: pairs of market address and user.
    """
    pairs = list(holders)
    return Statement(
        _POSITIONS_BY_ADDRESS,
        (keys([pair[0] for pair in pairs]), keys([pair[1] for pair in pairs])),
    )


def position_from_row(row: Iterable[Any]) -> PositionRow:
    """Read a position from its columns, in the order of ``PositionRow``."""
    return PositionRow(*_decimals_to_int(row))


def load_projections(conn: Connection, market_ids: Collection[bytes]) -> dict[bytes, Projection]:
    """Load whole projections as stored, by id; markets without a row are absent."""
    found = {
        market_id: Projection(market=row)
        for market_id, row in load_markets(conn, market_ids).items()
    }
    for position in _load_rows_of_markets(conn, tables.positions, PositionRow, found):
        found[position.market_id].positions[position.user] = position
    for trade in _load_rows_of_markets(conn, tables.trades, TradeRow, found):
        found[trade.market_id].trades.append(trade)
    for claim in _load_rows_of_markets(conn, tables.claims, ClaimRow, found):
        found[claim.market_id].claims.append(claim)
    for vote in _load_rows_of_markets(conn, tables.chain_votes, VoteRow, found):
        found[vote.market_id].votes[vote.kind, vote.wallet] = vote
    for withdrawal in _load_rows_of_markets(conn, tables.withdrawals, WithdrawalRow, found):
        found[withdrawal.market_id].withdrawals.append(withdrawal)
    return found


_LOWEST_COMMITMENTS = """
SELECT market_id, min(commitment)::text FROM chain.events
WHERE market_id = ANY(%b) AND commitment IN ('reported', 'confirmed') AND slot <= %b
GROUP BY market_id
"""


def load_market_commitments(
    conn: Connection, market_ids: Collection[bytes], *, until_slot: int = _ANY_SLOT
) -> dict[bytes, Commitment]:
    """Load the lowest commitment among each market's events up to a slot."""
    lowest = execute(conn, _LOWEST_COMMITMENTS, list(market_ids), until_slot)
    return dict.fromkeys(market_ids, Commitment.FINALIZED) | {
        market_id: Commitment(commitment) for market_id, commitment in lowest
    }


_UPDATE_MARKET_COMMITMENTS = """
UPDATE market.markets AS m SET commitment = sent.commitment::chain.commitment
FROM unnest(%b::bytea[], %b::text[]) AS sent (market_id, commitment)
WHERE m.market_id = sent.market_id AND m.commitment::text <> sent.commitment
"""


def update_market_commitments(conn: Connection, market_ids: Collection[bytes]) -> None:
    """Set the commitment of markets whose events were only promoted."""
    if market_ids:
        commitments = load_market_commitments(conn, market_ids)
        levels = [commitment.value for commitment in commitments.values()]
        execute(conn, _UPDATE_MARKET_COMMITMENTS, list(commitments), levels)


def write_projections(
    conn: Connection,
    folded: Mapping[bytes, Projection],
    *,
    replaced: Collection[bytes],
    commitments: Mapping[bytes, Commitment],
    transaction_commitments: Mapping[bytes, Commitment],
) -> None:
    """Store projections.

    Args:
        replaced: markets that were refolded; what is stored of them is deleted first.
        commitments: commitments of the markets, by id.
        transaction_commitments: commitments of the transactions behind the rows, by signature.
    """
    if replaced:
        for table in _CHILDREN:
            conn.execute(delete(table).where(table.c.market_id.in_(list(replaced))))
        removed = [market_id for market_id in replaced if folded[market_id].market is None]
        if removed:
            table = tables.markets
            conn.execute(delete(table).where(table.c.market_id.in_(removed)))
    with pipelined(conn) as send:
        for statement in write_statements(
            folded, commitments=commitments, transaction_commitments=transaction_commitments
        ):
            send(statement)
    if replaced:
        table = tables.markets
        conn.execute(
            update(table)
            .where(table.c.market_id.in_(list(replaced)))
            .values(refolded_at=func.clock_timestamp())
        )


def write_statements(
    folded: Mapping[bytes, Projection],
    *,
    commitments: Mapping[bytes, Commitment],
    transaction_commitments: Mapping[bytes, Commitment],
) -> Iterator[Statement]:
    """Yield the statements that store projections whose lists hold only new rows.

    Args:
        commitments: commitments of the markets, by id.
        transaction_commitments: commitments of the transactions behind the rows, by signature.
    """
    existing = [projection for projection in folded.values() if projection.market is not None]
    now = datetime.now(UTC)
    yield from _statement_unless_empty(
        upsertion,
        tables.markets,
        (*MarketRow.__struct_fields__, "commitment", "updated_at"),
        [
            (*astuple(projection.market), commitments[projection.market.market_id].value, now)
            for projection in existing
            if projection.market is not None
        ],
    )
    yield from _statement_unless_empty(
        upsertion,
        tables.positions,
        PositionRow.__struct_fields__,
        [astuple(row) for projection in existing for row in projection.positions.values()],
    )

    def with_commitment(rows: Iterable[TradeRow | ClaimRow | VoteRow]) -> list[tuple[Any, ...]]:
        return [(*astuple(row), transaction_commitments[row.signature].value) for row in rows]

    yield from _statement_unless_empty(
        insertion,
        tables.trades,
        (*TradeRow.__struct_fields__, "commitment"),
        with_commitment(row for projection in existing for row in projection.trades),
    )
    yield from _statement_unless_empty(
        insertion,
        tables.claims,
        (*ClaimRow.__struct_fields__, "commitment"),
        with_commitment(row for projection in existing for row in projection.claims),
    )
    yield from _statement_unless_empty(
        _insert_votes_statement,
        tables.chain_votes,
        (*VoteRow.__struct_fields__, "commitment"),
        with_commitment(row for projection in existing for row in projection.votes.values()),
    )
    yield from _statement_unless_empty(
        insertion,
        tables.withdrawals,
        WithdrawalRow.__struct_fields__,
        [astuple(row) for projection in existing for row in projection.withdrawals],
    )


def _insert_votes_statement(
    table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> Statement:
    return insertion(table, columns, rows, "ON CONFLICT DO NOTHING")


def _statement_unless_empty(
    build: Callable[[Table, tuple[str, ...], Sequence[Sequence[Any]]], Statement],
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
) -> Iterator[Statement]:
    if rows:
        yield build(table, columns, rows)
