"""A wallet's positions as they were after a slot."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from api.markets.past_states import PastStates
from zmart_pipelines.ledger.model.projection import PositionRow, Projection
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import past_positions, positions

_OWN_FIELDS = tuple(
    name for name in PositionRow.__struct_fields__ if name in positions.Position.__struct_fields__
)


def positions_at(
    conn: Connection,
    past_states: PastStates,
    user: bytes,
    market_ids: Sequence[bytes],
    slot: int,
) -> list[tuple[positions.Position, positions.PositionResult]]:
    """Return a wallet's positions in these markets after ``slot``, in their order.

    Markets in which the wallet had no position are left out. Inside ``PastStates.read``.

    Raises:
        ApiError: 422 where too many events are needed.
    """
    folded = past_states.fold(conn, market_ids, slot)
    commitments = market_rows.load_market_commitments(conn, market_ids, until_slot=slot)
    current = positions.of_user_in(conn, user, market_ids)
    emptied = past_positions.emptied_at(conn, market_ids, slot)
    held = [
        msgspec.structs.replace(
            row,
            **_fields(folded[market_id], user),
            claimed_at=row.claimed_at if folded[market_id].positions[user].has_claimed else None,
            emptied_at=emptied.get(market_id),
            commitment=commitments[market_id].value,
        )
        for market_id in market_ids
        if user in folded[market_id].positions and (row := current.get(market_id)) is not None
    ]
    return wallet_reads.with_results(conn, user, held, until_slot=slot)


def _fields(projection: Projection, user: bytes) -> dict[str, object]:
    """Return the fields of ``positions.Position`` that follow from the fold."""
    market, own = projection.market, projection.positions[user]
    if market is None:
        raise ValueError("a position without its market")
    return {
        **{name: getattr(own, name) for name in _OWN_FIELDS},
        "state": market.state,
        "price_yes": market.price_yes,
        "current_liquidity": market.current_liquidity,
        "market_shares_yes": market.shares_yes,
        "market_shares_no": market.shares_no,
        "final_outcome": market.final_outcome,
        "finalized_at": market.finalized_at,
        "resolved_at": market.resolved_at,
        "b_parameter": market.b_parameter,
        "initial_liquidity": market.initial_liquidity,
        "resolver_fees": market.accumulated_resolver_fees,
    }
