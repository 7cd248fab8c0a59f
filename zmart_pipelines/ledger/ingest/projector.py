"""Updating the projection: folded forward in order, refolded from the ledger out of order.

The caller holds the locks of the markets (``store.locks``), so no other writer folds them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, select

from zmart_pipelines.ledger.model import config_timeline, fold
from zmart_pipelines.ledger.model.config_timeline import UNKNOWN_INDEX, Place, Timeline
from zmart_pipelines.ledger.model.projection import (
    ClaimRow,
    MarketRow,
    PlacedEvent,
    PositionRow,
    Projection,
    TradeRow,
    VoteRow,
)
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.ledger.rows import draft_matching, event_rows, market_rows
from zmart_pipelines.program.events import SharesBought, SharesSold, WinningsClaimed
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import market as tables


class MarketChange(NamedTuple):
    """What folding changed of one market.

    Attributes:
        new: the projection, reduced to the rows that clients do not know yet: rows of this
            call's events, and of earlier events that could be placed only now.
        holders: the wallets whose position, trades or claim changed.
    """

    market_id: bytes
    before: MarketRow | None
    after: MarketRow | None
    commitment: Commitment
    new: Projection
    holders: Collection[bytes]


class RefoldedMarkets(NamedTuple):
    """Markets folded from their first event.

    Attributes:
        transaction_commitments: commitments of the transactions behind the rows, by signature.
        events: how many events were folded.
    """

    folded: dict[bytes, Projection]
    transaction_commitments: dict[bytes, Commitment]
    events: int


def refold_markets(
    conn: Connection, program: Pubkey, market_ids: Collection[bytes], timeline: Timeline
) -> RefoldedMarkets:
    """Fold markets from the ledger, without storing the result."""
    folded: dict[bytes, Projection] = {}
    transaction_commitments: dict[bytes, Commitment] = {}
    events = 0
    for market_id, stored in market_rows.load_market_events(conn, market_ids, program).items():
        folded[market_id] = fold.fold((event.placed for event in stored), timeline)
        transaction_commitments |= {
            event.placed.place.signature: event.commitment for event in stored
        }
        events += len(stored)
    return RefoldedMarkets(folded, transaction_commitments, events)


def replace_projections(
    conn: Connection, refolded: RefoldedMarkets, market_ids: Collection[bytes]
) -> None:
    """Replace the stored projections of these markets by the refolded ones."""
    before = market_rows.load_markets(conn, market_ids)
    folded = {market_id: refolded.folded[market_id] for market_id in market_ids}
    market_rows.write_projections(
        conn,
        folded,
        replaced=market_ids,
        commitments=market_rows.load_market_commitments(conn, market_ids),
        transaction_commitments=refolded.transaction_commitments,
    )
    _record_inapplicable_events(conn, folded, market_ids)
    _update_draft_matches(conn, before, folded)


def update_projections(
    conn: Connection,
    program: Pubkey,
    new: Mapping[bytes, Collection[PlacedEvent]],
    refold: Collection[bytes],
    commitment: Commitment,
) -> list[MarketChange]:
    """Fold markets and store the result.

    Args:
        new: events that this transaction stored, by market id.
        refold: markets whose earlier events changed; refolded from the ledger in any case.
        commitment: commitment of the new events.
    """
    affected = set(new) | set(refold)
    if not affected:
        return []
    timeline = Timeline(market_rows.load_configuration_changes(conn))
    before = market_rows.load_markets(conn, affected)
    in_order = {
        market_id: events
        for market_id, events in new.items()
        if market_id not in refold and is_in_order(before.get(market_id), events)
    }
    replaced = affected - in_order.keys()
    holders = positions_needed(
        (market_id, placed) for market_id, events in in_order.items() for placed in events
    )
    positions = market_rows.load_positions(conn, sorted(holders))
    folded = fold_forward(in_order, before, positions, timeline)
    known = dict.fromkeys(replaced, Projection())
    if replaced:
        known |= market_rows.load_projections(conn, replaced)
    refolded = refold_markets(conn, program, replaced, timeline)
    folded |= refolded.folded
    places = {event.place for events in new.values() for event in events}
    transaction_commitments = {place.signature: commitment for place in places}
    transaction_commitments |= refolded.transaction_commitments
    commitments = market_rows.load_market_commitments(conn, affected)
    market_rows.write_projections(
        conn,
        folded,
        replaced=replaced,
        commitments=commitments,
        transaction_commitments=transaction_commitments,
    )
    _record_inapplicable_events(conn, folded, replaced)
    _update_draft_matches(conn, before, folded)
    return [
        MarketChange(
            market_id,
            before.get(market_id),
            projection.market,
            commitments[market_id],
            _unannounced_rows(projection, places, known.get(market_id)),
            holders_of_new_rows(projection)
            if market_id in in_order
            else _holders_that_differ(known[market_id], projection),
        )
        for market_id, projection in sorted(folded.items())
    ]


def changed_market_ids(changes: Iterable[MarketChange]) -> frozenset[bytes]:
    """Return the ids of the markets that exist in the projection before or after."""
    return frozenset(market.market_id for market in changes if market.before or market.after)


def refold_configuration(conn: Connection) -> set[bytes]:
    """Refold the configuration's history; return the markets whose trades it may change.

    The caller holds the configuration's lock exclusively, and thereby every market.
    """
    before = market_rows.load_configuration_changes(conn)
    after = config_timeline.fold(market_rows.load_configuration_events(conn))
    different = {change.place for change in before if change not in after}
    different |= {change.place for change in after if change not in before}
    if not different:
        return set()
    market_rows.replace_configuration_changes(conn, after)
    markets = tables.markets
    return set(
        conn.execute(
            select(markets.c.market_id).where(
                markets.c.trades_count > 0, markets.c.as_of_slot >= min(different).slot
            )
        ).scalars()
    )


def is_in_order(market: MarketRow | None, events: Iterable[PlacedEvent]) -> bool:
    """Whether all events certainly come after those that are folded."""
    if market is None:
        return False
    last = (market.as_of_slot, market.as_of_index, market.as_of_log)
    for event in events:
        place = event.place
        if (place.slot, place.index_in_block, place.log_index) <= last:
            return False
        # Without its index, a transaction may belong before others of its slot.
        if place.slot == market.as_of_slot and UNKNOWN_INDEX in (place.index_in_block, last[1]):
            return False
    return True


def positions_needed(events: Iterable[tuple[bytes, PlacedEvent]]) -> set[tuple[bytes, bytes]]:
    """Return whose positions folding these events needs.

    Args:
        events: each with a key of its market (id or address).

    Returns:
        Pairs of the market's key and the user.
    """
    return {
        (market, placed.event.user)
        for market, placed in events
        if isinstance(placed.event, SharesBought | SharesSold | WinningsClaimed)
    }


def fold_forward(
    new: Mapping[bytes, Collection[PlacedEvent]],
    before: Mapping[bytes, MarketRow],
    positions: Mapping[bytes, dict[bytes, PositionRow]],
    timeline: Timeline,
) -> dict[bytes, Projection]:
    """Fold events onto the stored markets; a market that is not stored begins empty.

    Args:
        new: events by market id.
        before: stored markets by id.
        positions: the positions that the events need, by market id and user; they are mutated.
    """
    folded = {}
    for market_id, events in new.items():
        market = before.get(market_id)
        projection = Projection(
            market=None if market is None else msgspec.structs.replace(market),
            positions=positions.get(market_id, {}),
        )
        for event in sorted(events, key=lambda placed: placed.place):
            fold.apply(projection, event, timeline)
        folded[market_id] = projection
    return folded


def _update_draft_matches(
    conn: Connection, before: Mapping[bytes, MarketRow], folded: Mapping[bytes, Projection]
) -> None:
    draft_matching.update_draft_matches(
        conn,
        created=[
            market_id
            for market_id, projection in folded.items()
            if projection.market and market_id not in before
        ],
        removed=[market_id for market_id in before if not folded[market_id].market],
    )


def holders_of_new_rows(projection: Projection) -> frozenset[bytes]:
    """Return the wallets of the trades and claims of a projection."""
    return frozenset(row.user for rows in (projection.trades, projection.claims) for row in rows)


def _holders_that_differ(before: Projection, after: Projection) -> frozenset[bytes]:
    """Return the wallets whose position, trades (with their order) or claims differ."""
    old, new = _by_holder(before), _by_holder(after)
    return frozenset(user for user in old.keys() | new.keys() if old.get(user) != new.get(user))


def _by_holder(projection: Projection) -> dict[bytes, list[PositionRow | TradeRow | ClaimRow]]:
    found: defaultdict[bytes, list[PositionRow | TradeRow | ClaimRow]] = defaultdict(list)
    for user, position in projection.positions.items():
        found[user].append(position)
    for trade in sorted(projection.trades, key=_place):
        found[trade.user].append(trade)
    for claim in sorted(projection.claims, key=lambda row: (row.slot, row.signature)):
        found[claim.user].append(claim)
    return found


def _place(trade: TradeRow) -> Place:
    return Place(trade.slot, trade.index_in_block, trade.signature, trade.log_index)


def _unannounced_rows(
    projection: Projection, places: Collection[Place], known: Projection | None
) -> Projection:
    """Reduce the projection to the rows that were not announced to clients yet.

    Args:
        places: places of the new events, whose rows are kept.
        known: the projection from before a refold; rows that it does not have are kept as well.
            None if the market was not refolded.
    """
    keys = {(place.signature, place.log_index) for place in places}
    signatures = {place.signature for place in places}
    known_keys = set() if known is None else _keys(known)

    def is_kept(row: TradeRow | ClaimRow) -> bool:
        key = (row.signature, row.log_index)
        return key in keys or (known is not None and key not in known_keys)

    def is_kept_vote(row: VoteRow) -> bool:
        return row.signature in signatures or (
            known is not None and (row.signature, None) not in known_keys
        )

    return Projection(
        market=projection.market,
        trades=[row for row in projection.trades if is_kept(row)],
        claims=[row for row in projection.claims if is_kept(row)],
        votes={key: row for key, row in projection.votes.items() if is_kept_vote(row)},
    )


def _keys(known: Projection) -> set[tuple[bytes, int | None]]:
    """Return trades and claims by their signature and log index, votes by signature and None."""
    found: set[tuple[bytes, int | None]] = {
        (row.signature, row.log_index) for rows in (known.trades, known.claims) for row in rows
    }
    return found | {(row.signature, None) for row in known.votes.values()}


_CLOSE_INAPPLICABLE = """
UPDATE chain.gaps AS g SET closed_at = now()
WHERE g.kind = 'inapplicable' AND g.closed_at IS NULL AND g.signature <> ALL(%b) AND EXISTS (
    SELECT FROM chain.events AS e WHERE e.signature = g.signature AND e.market_id = ANY(%b)
)
"""


def _record_inapplicable_events(
    conn: Connection, folded: Mapping[bytes, Projection], replaced: Collection[bytes]
) -> None:
    """Open a gap for every inapplicable event; close those that a refold could apply."""
    gaps = inapplicable_event_gaps(folded)
    if replaced:
        signatures = list({gap.signature for gap in gaps})
        execute(conn, _CLOSE_INAPPLICABLE, signatures, list(replaced))
    event_rows.open_gaps(conn, gaps)


def inapplicable_event_gaps(folded: Mapping[bytes, Projection]) -> list[event_rows.Gap]:
    """Return a gap for every event that could not be applied to the state before it."""
    return [
        event_rows.Gap(fault.place.signature, "inapplicable", fault.place.slot, fault.reason)
        for projection in folded.values()
        for fault in projection.faults
    ]
