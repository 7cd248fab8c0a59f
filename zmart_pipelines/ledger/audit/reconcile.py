"""Reconciliation: the fold as of a slot against the chain's accounts as of the same slot.

A difference is never repaired by overwriting. Its class says what to do: wait (``in_flight``,
``lag``), read the market's transactions again (``missing_event``, see ``ledger.repair``), mend
the decoder and decode again (``decode_error``), or find out (``drift``: seen twice, and nothing
explains it).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal, get_args

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.ledger.model import fold
from zmart_pipelines.ledger.model.account_comparison import (
    FieldDifference,
    compare_market,
    compare_position,
)
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.projection import PositionRow, Projection
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.program.accounts import MarketAccount, UserPosition
from zmart_pipelines.store.bulk_statements import insert_rows
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import chain, market, ops
from zmart_pipelines.store.tables.reconciliation import reconciliations

DifferenceClass = Literal["in_flight", "lag", "missing_event", "decode_error", "drift"]
# Markets whose rows or events are held in memory at a time.
CHUNK: Final = 200
# Classes that something must be done about.
ACTIONABLE: frozenset[DifferenceClass] = frozenset({"missing_event", "decode_error", "drift"})


class ClassifiedDifference(msgspec.Struct, frozen=True):
    """One difference and its class; ``occurrences`` counts comparisons in a row that showed it."""

    difference: FieldDifference
    class_: DifferenceClass
    slot: int
    occurrences: int


class ReconciliationReport(msgspec.Struct, frozen=True):
    """One comparison.

    :ivar market_slot: the slot of the market accounts; ``position_slot`` of the positions.
    :ivar covered_slot: how far the ledger was proved complete then.
    """

    market_slot: int
    position_slot: int
    covered_slot: int | None
    markets: int
    positions: int
    differences: tuple[ClassifiedDifference, ...]

    @property
    def serious(self) -> tuple[ClassifiedDifference, ...]:
        """The differences that neither motion nor lag explains."""
        return tuple(one for one in self.differences if one.class_ in ACTIONABLE)


def compare_accounts(
    engine: Engine, reader: AccountReader, *, catch_up: Callable[[], object] | None = None
) -> ReconciliationReport:
    """Compare every market and position, record the differences and clear those that ended.

    Only events up to the slot of each answer are folded, so events that came since make no
    difference. ``engine`` acts as INGEST.

    :param catch_up: called when the accounts have been read, before the ledger is: it brings
        the ledger up to their slot (``poll.read_finalized_window``). Without it every
        difference in accounts newer than the ledger is lag, and on a chain that moves they
        always are.
    """
    markets = reader.markets()
    positions = reader.positions(min_context_slot=markets.slot)
    by_market: dict[bytes, dict[bytes, UserPosition]] = defaultdict(dict)
    for position in positions.value:
        by_market[position.market][position.user] = position
    accounts = {account.market_id: account for account in markets.value}
    if catch_up is not None:
        catch_up()
    # One moment of the ledger, whoever writes meanwhile.
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
        covered = coverage.read_cursor(conn, "finalized")
        known = set(conn.execute(select(market.markets.c.market_id)).scalars())
        market_ids = known | set(accounts)
        found = _differences(
            conn,
            reader.program,
            market_ids,
            accounts,
            by_market,
            (markets.slot, positions.slot),
        )
        moving = _markets_changed_after(conn, min(markets.slot, positions.slot))
        broken = _quarantined_markets(conn)
    with engine.begin() as conn:
        drifts = _record_differences(
            conn, found, covered, moving, broken, markets.slot, positions.slot
        )
        if covered is not None:
            differing = {market_address_bytes(reader.program, one.market_id) for one in found}
            _close_explained_gaps(conn, min(covered, markets.slot), differing)
        report = ReconciliationReport(
            market_slot=markets.slot,
            position_slot=positions.slot,
            covered_slot=covered,
            markets=len(market_ids),
            positions=len(positions.value),
            differences=tuple(drifts),
        )
        _record_comparison(conn, report)
    return report


def _record_comparison(conn: Connection, report: ReconciliationReport) -> None:
    """Add the comparison to their history."""
    by_class = Counter(one.class_ for one in report.differences)
    conn.execute(
        insert(reconciliations).values(
            market_slot=report.market_slot,
            position_slot=report.position_slot,
            covered_slot=report.covered_slot,
            markets=report.markets,
            positions=report.positions,
            **{name: by_class[name] for name in get_args(DifferenceClass)},
        )
    )


def _differences(
    conn: Connection,
    program: Pubkey,
    market_ids: Iterable[bytes],
    accounts: Mapping[bytes, MarketAccount],
    by_market: Mapping[bytes, Mapping[bytes, UserPosition]],
    slots: tuple[int, int],
) -> list[FieldDifference]:
    market_slot, position_slot = slots
    found: list[FieldDifference] = []
    history = Timeline(market_rows.load_configuration_changes(conn))
    wanted = sorted(market_ids)
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        folded = fold_as_of(conn, chunk, program, market_slot, history)
        later = (
            folded
            if market_slot == position_slot
            else fold_as_of(conn, chunk, program, position_slot, history)
        )
        for market_id, projection in folded.items():
            found += compare_market(market_id, projection.market, accounts.get(market_id))
            address = market_address_bytes(program, market_id)
            stored = later[market_id].positions
            held = by_market.get(address, {})
            for user in stored.keys() | held.keys():
                found += compare_position(
                    market_id, user, stored.get(user), held.get(user), address
                )
    return sorted(found, key=lambda one: (one.market_id, one.user or b"", one.field))


def fold_as_of(
    conn: Connection,
    market_ids: Collection[bytes],
    program: Pubkey,
    slot: int,
    history: Timeline,
) -> dict[bytes, Projection]:
    """The markets and positions as they were after ``slot``, by market.

    Markets to which nothing happened since are taken as they are stored.
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
    events = market_rows.load_market_events(conn, past, program, until_slot=slot)
    return current | {
        market_id: fold.fold((one.placed for one in found), history)
        for market_id, found in events.items()
    }


def _markets_changed_after(conn: Connection, slot: int) -> set[bytes]:
    """Markets with events after ``slot``."""
    events = chain.events
    return set(
        conn.execute(
            select(events.c.market_id)
            .where(events.c.slot > slot, events.c.market_id.isnot(None))
            .distinct()
        ).scalars()
    )


_QUARANTINED_MARKETS = """
SELECT DISTINCT of_market.market_id
FROM chain.events AS quarantined
JOIN chain.events AS of_market USING (signature, digest)
WHERE quarantined.quarantine_reason IS NOT NULL AND quarantined.commitment <> 'orphaned'
    AND of_market.market_id IS NOT NULL
UNION
SELECT DISTINCT m.market_id
FROM chain.transactions AS t
JOIN chain.events AS e ON e.signature = t.signature AND e.digest = t.digest
    AND e.quarantine_reason IS NOT NULL
CROSS JOIN LATERAL jsonb_array_elements(t.instructions) AS i
CROSS JOIN LATERAL jsonb_array_elements_text(i -> 'accounts') AS account (address)
JOIN unnest(%b::bytea[], %b::text[]) AS m (market_id, address) ON m.address = account.address
WHERE t.commitment <> 'orphaned'
"""


def _quarantined_markets(conn: Connection) -> set[bytes]:
    """Markets that a transaction with a quarantined event concerns."""
    table = market.markets
    known = conn.execute(select(table.c.market_id, table.c.address)).all()
    found = execute(
        conn,
        _QUARANTINED_MARKETS,
        [row.market_id for row in known],
        [str(Pubkey(row.address)) for row in known],
    )
    return set(found.scalars())


_CLOSE_EXPLAINED = """
UPDATE chain.gaps AS g SET closed_at = now()
FROM chain.transactions AS t
WHERE g.kind = 'incomplete' AND g.closed_at IS NULL
    AND t.signature = g.signature AND t.commitment = 'finalized' AND t.slot <= %b
    AND NOT EXISTS (
        SELECT FROM chain.events AS e
        WHERE e.signature = t.signature AND e.quarantine_reason IS NOT NULL
            AND e.commitment <> 'orphaned'
    )
    AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(t.instructions) AS i
        CROSS JOIN LATERAL jsonb_array_elements_text(i -> 'accounts') AS account (address)
        WHERE account.address = ANY(%b)
    )
"""


def _close_explained_gaps(conn: Connection, slot: int, differing: set[bytes]) -> None:
    """Close gaps of cut or broken logs whose markets' accounts agree with the fold.

    What such a log held is unknown, but the accounts show that nothing of it is missing.

    :param differing: addresses of the markets that do not agree.
    """
    execute(conn, _CLOSE_EXPLAINED, slot, [str(Pubkey(one)) for one in differing])


def _classify(
    difference: FieldDifference,
    covered: int | None,
    slot: int,
    moving: set[bytes],
    broken: set[bytes],
    occurrences: int,
) -> DifferenceClass:
    if covered is None or covered < slot:
        return "lag"
    if difference.market_id in broken:
        return "decode_error"
    if occurrences > 1:
        return "drift"
    return "in_flight" if difference.market_id in moving else "missing_event"


def _is_same_difference(before: Row[Any], difference: FieldDifference) -> bool:
    """Whether this is the difference seen before: of a number that has moved on both sides,
    one that is out by as much."""
    now = (difference.folded, difference.chain)
    if (before.folded, before.chain) == now:
        return True
    values = [before.folded, before.chain, *now]
    if any(value is None or not value.isdecimal() for value in values):
        return False
    old_folded, old_chain, folded, chain_ = map(int, values)
    return old_chain - old_folded == chain_ - folded


def _record_differences(
    conn: Connection,
    found: Iterable[FieldDifference],
    covered: int | None,
    moving: set[bytes],
    broken: set[bytes],
    market_slot: int,
    position_slot: int,
) -> list[ClassifiedDifference]:
    table = ops.differences
    open_ = {
        (row.market_id, row.user, row.field): row
        for row in conn.execute(select(table).where(table.c.cleared_at.is_(None)))
    }
    drifts: list[ClassifiedDifference] = []
    fresh: list[dict[str, object]] = []
    for difference in found:
        slot = market_slot if difference.user is None else position_slot
        before = open_.pop((difference.market_id, difference.user, difference.field), None)
        occurrences = (
            before.occurrences + 1
            if before is not None and _is_same_difference(before, difference)
            else 1
        )
        class_ = _classify(difference, covered, slot, moving, broken, occurrences)
        drifts.append(ClassifiedDifference(difference, class_, slot, occurrences))
        values = {
            "folded": difference.folded,
            "chain": difference.chain,
            "class": class_,
            "slot": slot,
            "occurrences": occurrences,
        }
        if before is None:
            fresh.append(
                {
                    "market_id": difference.market_id,
                    "user": difference.user,
                    "field": difference.field,
                    **values,
                }
            )
        else:
            conn.execute(
                update(table)
                .where(table.c.id == before.id)
                .values(**values, last_seen_at=func.now())
            )
    insert_rows(conn, table, fresh)
    if open_:
        conn.execute(
            update(table)
            .where(table.c.id.in_([row.id for row in open_.values()]))
            .values(cleared_at=func.now())
        )
    return drifts
