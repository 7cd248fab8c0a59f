"""Reconciliation: the fold as of a slot against the chain's accounts as of the same slot.

A difference is never repaired by overwriting. Its class says what to do: wait (``in_flight``,
``lag``), read the market's transactions again (``missing_event``, see ``audit.repair``), fix
the decoder and decode again (``decode_error``), or investigate (``drift``: seen twice, and
nothing explains it).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, get_args

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, insert, select

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.ledger.audit.difference_records import (
    ACTIONABLE,
    ClassifiedDifference,
    DifferenceClass,
    load_context,
    record_differences,
)
from zmart_pipelines.ledger.model.account_comparison import (
    FieldDifference,
    compare_market,
    compare_position,
)
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.ledger.rows.past_projections import fold_as_of
from zmart_pipelines.program.accounts import MarketAccount, UserPosition
from zmart_pipelines.program.idl import discriminator
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import market
from zmart_pipelines.store.tables.reconciliation import reconciliations

# Markets whose rows or events are held in memory at a time.
CHUNK_SIZE: Final = 200


class ReconciliationReport(msgspec.Struct, frozen=True):
    """One comparison.

    Attributes:
        market_slot: the slot of the market accounts.
        position_slot: the slot of the position accounts.
        covered_slot: the last slot up to which the ledger was proved complete.
        markets: how many markets were compared.
        positions: how many position accounts were compared.
    """

    market_slot: int
    position_slot: int
    covered_slot: int | None
    markets: int
    positions: int
    differences: tuple[ClassifiedDifference, ...]

    @property
    def actionable(self) -> tuple[ClassifiedDifference, ...]:
        """The differences that neither motion nor lag explains."""
        return tuple(entry for entry in self.differences if entry.class_ in ACTIONABLE)


def compare_accounts(
    engine: Engine, reader: AccountReader, *, catch_up: Callable[[], object] | None = None
) -> ReconciliationReport:
    """Compare every market and position, record the differences and clear those that ended.

    Only events up to the slot of each account are folded, so later events make no difference.

    Args:
        engine: acts as INGEST.
        catch_up: called after the accounts were read and before the ledger is; updates the
            ledger to their slot (``finalized_window.read_finalized_window``). Without it,
            every difference in accounts newer than the ledger is lag, and on a moving chain
            the accounts are always newer.
    """
    markets = reader.markets()
    positions = reader.positions(min_context_slot=markets.slot)
    positions_by_market: dict[bytes, dict[bytes, UserPosition]] = defaultdict(dict)
    for position in positions.value:
        positions_by_market[position.market][position.user] = position
    accounts = {account.market_id: account for account in markets.value}
    if catch_up is not None:
        catch_up()
    # One snapshot of the ledger, even if other processes write.
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
        covered = coverage.read_cursor(conn, "finalized")
        known = set(conn.execute(select(market.markets.c.market_id)).scalars())
        market_ids = known | set(accounts)
        found = find_differences(
            conn,
            reader.program,
            market_ids,
            accounts,
            positions_by_market,
            (markets.slot, positions.slot),
        )
        context = load_context(conn, markets.slot, positions.slot, covered)
    with engine.begin() as conn:
        classified = record_differences(conn, found, context)
        if covered is not None:
            differing = {difference.market_id for difference in found}
            slot = min(covered, markets.slot)
            _close_explained_gaps(conn, slot, reader.program, differing)
        report = ReconciliationReport(
            market_slot=markets.slot,
            position_slot=positions.slot,
            covered_slot=covered,
            markets=len(market_ids),
            positions=len(positions.value),
            differences=tuple(classified),
        )
        _record_comparison(conn, report)
    return report


def _record_comparison(conn: Connection, report: ReconciliationReport) -> None:
    by_class = Counter(entry.class_ for entry in report.differences)
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


def find_differences(
    conn: Connection,
    program: Pubkey,
    market_ids: Iterable[bytes],
    accounts: Mapping[bytes, MarketAccount],
    positions_by_market: Mapping[bytes, Mapping[bytes, UserPosition]],
    slots: tuple[int, int],
) -> list[FieldDifference]:
    """Compare markets and positions with their accounts.

    Args:
        accounts: market accounts by market id.
        positions_by_market: position accounts by the market's address and user.
        slots: the slot of the market accounts and that of the position accounts.
    """
    market_slot, position_slot = slots
    found: list[FieldDifference] = []
    timeline = Timeline(market_rows.load_configuration_changes(conn))
    ordered = sorted(market_ids)
    for start in range(0, len(ordered), CHUNK_SIZE):
        chunk = ordered[start : start + CHUNK_SIZE]
        folded = fold_as_of(conn, chunk, program, market_slot, timeline)
        later = (
            folded
            if market_slot == position_slot
            else fold_as_of(conn, chunk, program, position_slot, timeline)
        )
        for market_id, projection in folded.items():
            found += compare_market(market_id, projection.market, accounts.get(market_id))
            address = market_address_bytes(program, market_id)
            rows = later[market_id].positions
            held = positions_by_market.get(address, {})
            for user in rows.keys() | held.keys():
                found += compare_position(market_id, user, rows.get(user), held.get(user), address)
    return sorted(
        found,
        key=lambda difference: (difference.market_id, difference.user or b"", difference.field),
    )


# Discriminators, in hex, of instructions whose effect no market or position shows.
_NOT_SHOWN: Final = [
    discriminator("global", name).hex()
    for name in (
        "submit_proposal_vote",
        "submit_dispute_vote",
        "initialize_global_config",
        "update_global_config",
        "emergency_pause",
    )
]

_CLOSE_EXPLAINED = """
UPDATE chain.gaps AS g SET closed_at = now()
FROM chain.transactions AS t
WHERE g.kind IN ('incomplete', 'contradictory') AND g.closed_at IS NULL
    AND t.signature = g.signature AND t.commitment = 'finalized' AND t.slot <= %b
    AND NOT EXISTS (
        SELECT FROM chain.events AS e
        WHERE e.signature = t.signature AND e.quarantine_reason IS NOT NULL
            AND e.commitment <> 'orphaned'
    )
    AND (
        jsonb_array_length(t.instructions) > 0
        OR EXISTS (
            SELECT FROM chain.events AS e
            WHERE e.signature = t.signature AND e.digest = t.digest AND e.market_id IS NOT NULL
        )
    )
    AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(t.instructions) AS i
        WHERE left(i ->> 'data', 16) = ANY(%b)
    )
    AND NOT EXISTS (
        SELECT FROM chain.events AS e
        WHERE e.signature = t.signature AND e.digest = t.digest AND e.market_id = ANY(%b)
    )
    AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(t.instructions) AS i
        CROSS JOIN LATERAL jsonb_array_elements_text(i -> 'accounts') AS account (address)
        WHERE account.address = ANY(%b)
    )
"""


def _close_explained_gaps(
    conn: Connection, slot: int, program: Pubkey, differing: Collection[bytes]
) -> None:
    """Close gaps of incomplete readings whose markets' accounts agree with the fold.

    What such a log contained is unknown, but the accounts show that nothing of it is missing.
    They show nothing of votes and of the configuration, and nothing at all where it is not known
    which market the transaction concerns; such gaps stay open.

    Args:
        differing: ids of the markets that do not agree.
    """
    addresses = [str(Pubkey(market_address_bytes(program, one))) for one in differing]
    execute(conn, _CLOSE_EXPLAINED, slot, _NOT_SHOWN, list(differing), addresses)
