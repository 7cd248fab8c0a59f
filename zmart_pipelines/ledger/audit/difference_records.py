"""Classifying the differences of a comparison, and recording how long each has been seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Row, func, select, update

from zmart_pipelines.ledger.model.account_comparison import FieldDifference
from zmart_pipelines.store.bulk_statements import insert_rows
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import chain, market, ops

DifferenceClass = Literal["in_flight", "lag", "missing_event", "decode_error", "drift"]
# Classes that require an action.
ACTIONABLE: frozenset[DifferenceClass] = frozenset({"missing_event", "decode_error", "drift"})


class ClassifiedDifference(msgspec.Struct, frozen=True):
    """One difference and its class.

    Attributes:
        slot: the slot of the account that differs.
        occurrences: how many comparisons in a row showed the difference.
    """

    difference: FieldDifference
    class_: DifferenceClass
    slot: int
    occurrences: int


class ComparisonContext(NamedTuple):
    """What explains the differences of one comparison.

    Attributes:
        market_slot: the slot of the market accounts.
        position_slot: the slot of the position accounts.
        covered_slot: the last slot up to which the ledger is proved complete.
        changed_markets: ids of markets with events after the accounts' slots.
        quarantined_markets: ids of markets that a transaction with a quarantined event concerns.
    """

    market_slot: int
    position_slot: int
    covered_slot: int | None
    changed_markets: set[bytes]
    quarantined_markets: set[bytes]


def load_context(
    conn: Connection, market_slot: int, position_slot: int, covered_slot: int | None
) -> ComparisonContext:
    """Load what explains differences in accounts of these slots."""
    return ComparisonContext(
        market_slot,
        position_slot,
        covered_slot,
        _markets_changed_after(conn, min(market_slot, position_slot)),
        _quarantined_markets(conn),
    )


def _markets_changed_after(conn: Connection, slot: int) -> set[bytes]:
    """Return the ids of markets with events after ``slot``."""
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
    """Return the ids of markets that a transaction with a quarantined event concerns."""
    table = market.markets
    known = conn.execute(select(table.c.market_id, table.c.address)).all()
    found = execute(
        conn,
        _QUARANTINED_MARKETS,
        [row.market_id for row in known],
        [str(Pubkey(row.address)) for row in known],
    )
    return set(found.scalars())


def record_differences(
    conn: Connection, found: Iterable[FieldDifference], context: ComparisonContext
) -> list[ClassifiedDifference]:
    """Classify and record differences, and clear the recorded ones that are gone."""
    table = ops.differences
    recorded = {
        (row.market_id, row.user, row.field): row
        for row in conn.execute(select(table).where(table.c.cleared_at.is_(None)))
    }
    classified: list[ClassifiedDifference] = []
    new_rows: list[dict[str, object]] = []
    for difference in found:
        before = recorded.pop((difference.market_id, difference.user, difference.field), None)
        occurrences = 1
        if before is not None and _is_same_difference(before, difference):
            occurrences = before.occurrences + 1
        entry = _classify(difference, context, occurrences)
        classified.append(entry)
        values = {
            "folded": difference.folded,
            "chain": difference.chain,
            "class": entry.class_,
            "slot": entry.slot,
            "occurrences": occurrences,
        }
        if before is None:
            new_rows.append(
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
    insert_rows(conn, table, new_rows)
    if recorded:
        conn.execute(
            update(table)
            .where(table.c.id.in_([row.id for row in recorded.values()]))
            .values(cleared_at=func.now())
        )
    return classified


def _classify(
    difference: FieldDifference, context: ComparisonContext, occurrences: int
) -> ClassifiedDifference:
    slot = context.market_slot if difference.user is None else context.position_slot
    class_: DifferenceClass
    if context.covered_slot is None or context.covered_slot < slot:
        class_ = "lag"
    elif difference.market_id in context.quarantined_markets:
        class_ = "decode_error"
    elif occurrences > 1:
        class_ = "drift"
    elif difference.market_id in context.changed_markets:
        class_ = "in_flight"
    else:
        class_ = "missing_event"
    return ClassifiedDifference(difference, class_, slot, occurrences)


def _is_same_difference(before: Row[Any], difference: FieldDifference) -> bool:
    """Whether this is the difference that was recorded before.

    A number that has changed on both sides still differs in the same way if it is off by the
    same amount.
    """
    now = (difference.folded, difference.chain)
    if (before.folded, before.chain) == now:
        return True
    values = [before.folded, before.chain, *now]
    if any(value is None or not value.isdecimal() for value in values):
        return False
    old_folded, old_chain, folded, chain_ = map(int, values)
    return old_chain - old_folded == chain_ - folded
