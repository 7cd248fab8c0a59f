"""Build the frames of wallets' channels for changes of the projection.

A wallet receives its trades, its position after them, and its claims. Trades of other wallets
change the value of a position; their frames are on the market's channels alone. Where a change of
the market itself changes what its positions are paid, all of their wallets receive them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.client_schemas.claims import due_claim, paid_claim
from zmart_pipelines.client_schemas.frames import claim_frame, position_frame
from zmart_pipelines.client_schemas.positions import position as shown_position
from zmart_pipelines.ledger.ingest.projector import MarketChange
from zmart_pipelines.ledger.model.projection import MarketRow
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.statistics.wallet_reads import NO_POOLS, PastPools
from zmart_pipelines.store.queries import positions, wallet_entries
from zmart_pipelines.store.queries.positions import Position
from zmart_pipelines.store.queries.wallet_activity import PaidClaim
from zmart_pipelines.store.queries.wallet_entries import Entries
from zmart_pipelines.store.statement_pipeline import run
from zmart_pipelines.store.stream import Frame

Holder: TypeAlias = tuple[bytes, bytes]
"""A market's id and a wallet."""


class Holdings(NamedTuple):
    """What the frames of wallets show.

    Attributes:
        held: The positions to send, by holder; those that no longer exist are absent.
        entries: Their trades.
        due: The positions of markets that have just become final and owe them something.
        pools: The past of the markets whose pool decides a result.
    """

    held: Mapping[Holder, Position]
    entries: Entries
    due: Mapping[bytes, list[Position]]
    pools: PastPools


NO_HOLDINGS: Final = Holdings({}, defaultdict(list), {}, NO_POOLS)


def changed_holders(changes: Iterable[MarketChange]) -> set[Holder]:
    """Return whose positions ``changes`` changed."""
    return {(change.market_id, user) for change in changes for user in change.holders}


def concern_all_holders(changes: Iterable[MarketChange]) -> bool:
    """Whether a change concerns positions beyond those that it changed itself."""
    return any(_is_settled(change) or _is_resettled(change) for change in changes)


def of_changed(held: Iterable[Position], entries: Entries) -> Holdings | None:
    """Return the holdings of the changed positions alone; None where that is not enough.

    It is not where the past of a pool decides a result.
    """
    rows = {(row.market_id, row.user): row for row in held}
    if any(map(wallet_reads.depends_on_pools, rows.values())):
        return None
    return Holdings(rows, entries, {}, NO_POOLS)


def load(conn: Connection, changes: Collection[MarketChange]) -> Holdings:
    """Return what the wallets of ``changes`` hold now."""
    holders = changed_holders(changes)
    resettled = [change.market_id for change in changes if _is_resettled(change)]
    holders |= positions.holders_of_markets(conn, resettled)
    held: dict[Holder, Position] = {}
    entries: Entries = defaultdict(list)
    if holders:
        rows = run(conn, positions.holders_statement(holders))
        held = {(row.market_id, row.user): row for row in map(positions.from_row, rows)}
        entries = wallet_entries.entries_from_rows(
            run(conn, wallet_entries.holders_statement(holders))
        )
    settled = [change.market_id for change in changes if _is_settled(change)]
    due: dict[bytes, list[Position]] = {market_id: [] for market_id in settled}
    for row in positions.positions_of_markets(conn, settled) if settled else ():
        if row.status == "claimable":
            due[row.market_id].append(row)
    owed = [row for rows in due.values() for row in rows]
    return Holdings(held, entries, due, wallet_reads.past_pools(conn, [*held.values(), *owed]))


def build(
    change: MarketChange, holdings: Holdings, commitment: Commitment, orphaned: Collection[bytes]
) -> Iterator[Frame]:
    """Yield the frames of one market's positions and claims, by wallet.

    Args:
        change: What folding changed of the market.
        holdings: Of all wallets that it concerns.
        commitment: Of the new events.
        orphaned: Signatures of transactions that no longer count.
    """
    yield from _positions(change, holdings, orphaned)
    yield from _paid_claims(change, holdings, commitment)
    for row in sorted(holdings.due.get(change.market_id, ()), key=lambda row: row.user):
        refusal = wallet_reads.claim_refusal_of(row, holdings.pools)
        yield claim_frame(row.user, due_claim(row, refusal))


def _positions(
    change: MarketChange, holdings: Holdings, orphaned: Collection[bytes]
) -> Iterator[Frame]:
    market_id = change.market_id
    users = set(change.holders)
    if _is_resettled(change):
        users |= {user for held_in, user in holdings.held if held_in == market_id}
    for user in sorted(users):
        row = holdings.held.get((market_id, user))
        shown = None
        if row is not None:
            entries = holdings.entries.get((market_id, user), [])
            result = wallet_reads.position_result(row, entries, holdings.pools)
            shown = shown_position(row, result)
        yield position_frame(market_id, user, shown, orphaned)


def _paid_claims(
    change: MarketChange, holdings: Holdings, commitment: Commitment
) -> Iterator[Frame]:
    for claim in sorted(change.new.claims, key=lambda row: (row.slot, row.signature)):
        held = holdings.held[change.market_id, claim.user]
        fields = msgspec.structs.asdict(claim)
        del fields["user"]
        paid = PaidClaim(
            **fields,
            market_address=held.market_address,
            question=held.question,
            commitment=commitment.value,
        )
        yield claim_frame(claim.user, paid_claim(paid))


def _is_final(market: MarketRow | None) -> bool:
    return market is not None and market.state == MarketState.FINALIZED


def _is_settled(change: MarketChange) -> bool:
    """Whether the market has become final."""
    return _is_final(change.after) and not _is_final(change.before)


def _is_resettled(change: MarketChange) -> bool:
    """Whether the market was final, and what its positions are paid is no longer the same."""
    return _is_final(change.before) and _payouts(change.before) != _payouts(change.after)


def _payouts(market: MarketRow | None) -> tuple[object, ...] | None:
    """Return what decides the payouts of a final market's positions; None where none is due."""
    if market is None or not _is_final(market):
        return None
    return market.final_outcome, market.current_liquidity, market.shares_yes, market.shares_no
