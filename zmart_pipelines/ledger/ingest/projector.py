"""Bringing the projection up to the ledger: folded on in order, refolded out of order.

The caller holds the locks of the markets (``store.locks``), so nobody else folds them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, select

from zmart_pipelines.ledger.model import config_timeline, fold
from zmart_pipelines.ledger.model.config_timeline import UNKNOWN_INDEX, Place, Timeline
from zmart_pipelines.ledger.model.projection import (
    FoldFault,
    MarketRow,
    PlacedEvent,
    PositionRow,
    Projection,
)
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.ledger.rows import draft_matching, event_rows, market_rows
from zmart_pipelines.program.events import SharesBought, SharesSold, WinningsClaimed
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import market as tables


class MarketChange(NamedTuple):
    """What folding did to one market.

    :ivar new: the projection with those of its rows only that nobody was told of yet: of this
        call's events, and of earlier ones that find their place only now.
    """

    market_id: bytes
    before: MarketRow | None
    after: MarketRow | None
    commitment: Commitment
    new: Projection


class RefoldedMarkets(NamedTuple):
    """Markets folded from their beginning, the commitment of each transaction behind their
    rows, and how many events that took."""

    folded: dict[bytes, Projection]
    of_signature: dict[bytes, Commitment]
    events: int


def refold_markets(
    conn: Connection, program: Pubkey, market_ids: Collection[bytes], history: Timeline
) -> RefoldedMarkets:
    """Fold markets from the ledger, without storing them."""
    folded: dict[bytes, Projection] = {}
    of_signature: dict[bytes, Commitment] = {}
    events = 0
    for market_id, stored in market_rows.load_market_events(conn, market_ids, program).items():
        folded[market_id] = fold.fold((one.placed for one in stored), history)
        of_signature |= {one.placed.place.signature: one.commitment for one in stored}
        events += len(stored)
    return RefoldedMarkets(folded, of_signature, events)


def replace_projections(
    conn: Connection, anew: RefoldedMarkets, market_ids: Collection[bytes]
) -> None:
    """Store these of the refolded markets in the place of what is stored."""
    before = market_rows.load_markets(conn, market_ids)
    folded = {one: anew.folded[one] for one in market_ids}
    market_rows.write_projections(
        conn,
        folded,
        replaced=market_ids,
        commitments=market_rows.load_market_commitments(conn, market_ids),
        of_signature=anew.of_signature,
    )
    _record_inapplicable_events(conn, folded, market_ids)
    _update_draft_matches(conn, before, folded)


def update_projections(
    conn: Connection,
    program: Pubkey,
    new: Mapping[bytes, Collection[PlacedEvent]],
    doubtful: Collection[bytes],
    commitment: Commitment,
) -> list[MarketChange]:
    """Fold markets.

    :param new: events that this transaction stored, by market.
    :param doubtful: markets whose earlier events changed; folded from the ledger in any case.
    :param commitment: of the new events.
    """
    touched = set(new) | set(doubtful)
    if not touched:
        return []
    history = Timeline(market_rows.load_configuration_changes(conn))
    before = market_rows.load_markets(conn, touched)
    in_order = {
        market_id
        for market_id, events in new.items()
        if market_id not in doubtful and is_in_order(before.get(market_id), events)
    }
    replaced = touched - in_order
    following = {one: new[one] for one in in_order}
    needed = positions_needed(
        (one, placed) for one, events in following.items() for placed in events
    )
    folded = fold_forward(
        following, before, market_rows.load_positions(conn, sorted(needed)), history
    )
    of_signature = {
        event.place.signature: commitment for events in new.values() for event in events
    }
    told = _load_projected_rows(conn, replaced)
    anew = refold_markets(conn, program, replaced, history)
    folded |= anew.folded
    of_signature |= anew.of_signature
    commitments = market_rows.load_market_commitments(conn, touched)
    market_rows.write_projections(
        conn,
        folded,
        replaced=replaced,
        commitments=commitments,
        of_signature=of_signature,
    )
    _record_inapplicable_events(conn, folded, replaced)
    _update_draft_matches(conn, before, folded)
    places = {event.place for events in new.values() for event in events}
    return [
        MarketChange(
            market_id,
            before.get(market_id),
            projection.market,
            commitments[market_id],
            _unannounced_rows(projection, places, told if market_id in replaced else None),
        )
        for market_id, projection in sorted(folded.items())
    ]


def refold_configuration(conn: Connection) -> set[bytes]:
    """Fold the configuration's history anew; the markets whose trades it puts in doubt.

    The caller holds the configuration's lock alone, and with it every market.
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
    """Whether all events come after what is folded, beyond doubt."""
    if market is None:
        return False
    done = (market.as_of_slot, market.as_of_index, market.as_of_log)
    for event in events:
        place = event.place
        if (place.slot, place.index_in_block, place.log_index) <= done:
            return False
        # Without its index, a transaction may belong before others of its slot.
        if place.slot == market.as_of_slot and UNKNOWN_INDEX in (place.index_in_block, done[1]):
            return False
    return True


def positions_needed(events: Iterable[tuple[bytes, PlacedEvent]]) -> set[tuple[bytes, bytes]]:
    """Whose positions folding these events needs: what each stands beside, and the user."""
    return {
        (market, placed.event.user)
        for market, placed in events
        if isinstance(placed.event, SharesBought | SharesSold | WinningsClaimed)
    }


def fold_forward(
    new: Mapping[bytes, Collection[PlacedEvent]],
    before: Mapping[bytes, MarketRow],
    positions: Mapping[bytes, dict[bytes, PositionRow]],
    history: Timeline,
) -> dict[bytes, Projection]:
    """Fold events on from what is stored, or from nothing for a market that is not.

    :param positions: those that the events need, by market and user; they are changed.
    """
    folded = {}
    for market_id, events in new.items():
        market = before.get(market_id)
        projection = Projection(
            market=None if market is None else msgspec.structs.replace(market),
            positions=positions.get(market_id, {}),
        )
        for event in sorted(events, key=lambda placed: placed.place):
            fold.apply(projection, event, history)
        folded[market_id] = projection
    return folded


def _update_draft_matches(
    conn: Connection, before: Mapping[bytes, MarketRow], folded: Mapping[bytes, Projection]
) -> None:
    draft_matching.update_draft_matches(
        conn,
        appeared=[one for one in folded if folded[one].market and one not in before],
        vanished=[one for one in before if not folded[one].market],
    )


_PROJECTED_ROWS = """
SELECT signature, log_index FROM market.trades WHERE market_id = ANY(%b)
UNION ALL SELECT signature, NULL FROM market.chain_votes WHERE market_id = ANY(%b)
"""

# A trade by its signature and log index, a vote by its signature and None.
ProjectedRows = Collection[tuple[bytes, int | None]]


def _load_projected_rows(conn: Connection, market_ids: Collection[bytes]) -> ProjectedRows:
    """The trades and votes that these markets have now."""
    if not market_ids:
        return ()
    sent = list(market_ids)
    return {(row[0], row[1]) for row in execute(conn, _PROJECTED_ROWS, sent, sent)}


def _unannounced_rows(
    projection: Projection, places: Collection[Place], told: ProjectedRows | None
) -> Projection:
    """The projection without the rows of other events, unless they were not among ``told``."""
    marks = {(place.signature, place.log_index) for place in places}
    signatures = {place.signature for place in places}

    def keep(signature: bytes, log_index: int | None) -> bool:
        return told is not None and (signature, log_index) not in told

    return Projection(
        market=projection.market,
        trades=[
            row
            for row in projection.trades
            if (row.signature, row.log_index) in marks or keep(row.signature, row.log_index)
        ],
        claims=[row for row in projection.claims if (row.signature, row.log_index) in marks],
        votes={
            key: row
            for key, row in projection.votes.items()
            if row.signature in signatures or keep(row.signature, None)
        },
    )


_CLOSE_INAPPLICABLE = """
UPDATE chain.gaps AS g SET closed_at = now()
WHERE g.kind = 'inapplicable' AND g.closed_at IS NULL AND g.signature <> ALL(%b) AND EXISTS (
    SELECT FROM chain.events AS e WHERE e.signature = g.signature AND e.market_id = ANY(%b)
)
"""


def _record_inapplicable_events(
    conn: Connection, folded: Mapping[bytes, Projection], replaced: Collection[bytes]
) -> None:
    """Open a gap for every event that did not fit; close those that fit after a refold."""
    misfits = inapplicable_event_gaps(folded)
    if replaced:
        signatures = list({gap.signature for gap in misfits})
        execute(conn, _CLOSE_INAPPLICABLE, signatures, list(replaced))
    event_rows.open_gaps(conn, misfits)


def inapplicable_event_gaps(folded: Mapping[bytes, Projection]) -> list[event_rows.Gap]:
    """A gap for every event that did not fit."""
    faults: list[FoldFault] = [fault for one in folded.values() for fault in one.faults]
    return [
        event_rows.Gap(fault.place.signature, "inapplicable", fault.place.slot, fault.reason)
        for fault in faults
    ]
