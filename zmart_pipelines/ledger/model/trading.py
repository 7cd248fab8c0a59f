"""How events change a market's pool, positions and fees. Pure; amounts in lamports."""

from __future__ import annotations

from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.projection import (
    ClaimRow,
    FoldFault,
    InapplicableEvent,
    MarketRow,
    PlacedEvent,
    PositionRow,
    Projection,
    TradeRow,
    WithdrawalRow,
)
from zmart_pipelines.program import events as ev
from zmart_pipelines.program.lmsr import (
    PRECISION,
    U64_MAX,
    Fees,
    FeeSplit,
    LmsrError,
    Pool,
    sell,
    split_total,
)


def check_u64(value: int, name: str) -> int:
    """Return a value that the program would store in 64 bits.

    Raises:
        InapplicableEvent: It is negative or larger; the event cannot be of this market's history.
    """
    if not 0 <= value <= U64_MAX:
        raise InapplicableEvent(f"{name} would be {value}")
    return value


def _check_price(value: int) -> int:
    if value > PRECISION:
        raise InapplicableEvent(f"the price would be {value}")
    return value


def apply_buy(
    projection: Projection,
    market: MarketRow,
    placed: PlacedEvent,
    event: ev.SharesBought,
    timeline: Timeline,
) -> None:
    """Apply a buy: base cost and fees are recomputed from the total paid."""
    fees = timeline.at(placed.place).fees
    base, split, exact = _split_total_cost(event.cost, fees)
    position = projection.positions.get(event.user)
    if position is None:
        position = PositionRow(
            market_id=market.market_id,
            user=event.user,
            first_trade_at=event.timestamp,
            last_trade_at=event.timestamp,
            as_of_slot=placed.place.slot,
        )
    _apply_trade(
        projection,
        market,
        position,
        placed,
        event,
        shares=event.shares,
        volume=event.cost,
        liquidity=split.resolver + split.lp,
        split=split,
        invested=event.cost,
    )
    if not exact:
        fault = f"SharesBought: no base cost has the total {event.cost} at {fees.total_bps} bps"
        projection.faults.append(FoldFault(placed.place, f"{fault}, assumed to be {base}"))


def _split_total_cost(total: int, fees: Fees) -> tuple[int, FeeSplit, bool]:
    # If the fees in force are not known correctly, the nearest base below keeps pool and
    # positions right; only the fee accumulators are off.
    try:
        return split_total(total, fees)
    except LmsrError as error:
        raise InapplicableEvent(f"the program would refuse it: {error}") from error


def apply_sale(
    projection: Projection,
    market: MarketRow,
    placed: PlacedEvent,
    event: ev.SharesSold,
    timeline: Timeline,
) -> None:
    """Apply a sale: what it removes from the pool is recomputed from the pool before it."""
    position = projection.positions.get(event.user)
    if position is None:
        raise InapplicableEvent("the seller has no position")
    pool = Pool(market.b_parameter, market.shares_yes, market.shares_no)
    try:
        sale = sell(pool, event.outcome, event.shares, 0, timeline.at(placed.place).fees)
    except LmsrError as error:
        raise InapplicableEvent(f"the program would refuse it: {error}") from error
    _apply_trade(
        projection,
        market,
        position,
        placed,
        event,
        shares=-event.shares,
        volume=sale.gross,
        liquidity=-(sale.net + sale.protocol_fee),
        split=FeeSplit(sale.protocol_fee, sale.resolver_fee, sale.lp_fee),
        invested=0,
    )
    if sale.net != event.proceeds:
        reason = f"SharesSold: proceeds {event.proceeds}, the market maker computes {sale.net}"
        projection.faults.append(FoldFault(placed.place, reason))


def _apply_trade(
    projection: Projection,
    market: MarketRow,
    position: PositionRow,
    placed: PlacedEvent,
    event: ev.SharesBought | ev.SharesSold,
    *,
    shares: int,
    volume: int,
    liquidity: int,
    split: FeeSplit,
    invested: int,
) -> None:
    side = "shares_yes" if event.outcome else "shares_no"
    pool_shares = check_u64(getattr(market, side) + shares, f"the market's {side}")
    held = check_u64(getattr(position, side) + shares, f"the position's {side}")
    total_volume = check_u64(market.total_volume + volume, "total_volume")
    current_liquidity = check_u64(market.current_liquidity + liquidity, "current_liquidity")
    resolver_fees = check_u64(market.accumulated_resolver_fees + split.resolver, "resolver fees")
    lp_fees = check_u64(market.accumulated_lp_fees + split.lp, "LP fees")
    total_invested = check_u64(position.total_invested + invested, "total_invested")
    price = _check_price(event.new_price_yes)

    setattr(market, side, pool_shares)
    market.total_volume = total_volume
    market.current_liquidity = current_liquidity
    market.accumulated_resolver_fees = resolver_fees
    market.accumulated_lp_fees = lp_fees
    market.price_yes = price
    market.trades_count += 1
    setattr(position, side, held)
    position.total_invested = total_invested
    position.trades_count += 1
    position.last_trade_at = event.timestamp
    position.as_of_slot = placed.place.slot
    projection.positions[event.user] = position
    projection.trades.append(
        TradeRow(
            signature=placed.place.signature,
            log_index=placed.place.log_index,
            market_id=market.market_id,
            user=event.user,
            trade_type="buy" if isinstance(event, ev.SharesBought) else "sell",
            outcome=event.outcome,
            shares=event.shares,
            cost=event.cost if isinstance(event, ev.SharesBought) else event.proceeds,
            price_yes=price,
            traded_at=event.timestamp,
            slot=placed.place.slot,
            index_in_block=placed.place.index_in_block,
        )
    )


def apply_claim(
    projection: Projection,
    market: MarketRow,
    placed: PlacedEvent,
    event: ev.WinningsClaimed,
    _t: Timeline,
) -> None:
    """Apply a payout; the first one with an outcome also pays the resolver."""
    position = projection.positions.get(event.user)
    if position is None:
        raise InapplicableEvent("the claimer has no position")
    # The older layout does not contain the outcome.
    outcome = market.final_outcome if event.market is None else event.outcome
    position.has_claimed = True
    position.claimed_amount = event.amount
    position.as_of_slot = placed.place.slot
    if outcome is not None:
        market.accumulated_resolver_fees = 0
    projection.claims.append(
        ClaimRow(
            signature=placed.place.signature,
            log_index=placed.place.log_index,
            market_id=market.market_id,
            user=event.user,
            outcome=outcome,
            amount=event.amount,
            claimed_at=event.timestamp,
            slot=placed.place.slot,
        )
    )


def apply_withdrawal(
    projection: Projection,
    market: MarketRow,
    placed: PlacedEvent,
    event: ev.LiquidityWithdrawn,
    _t: Timeline,
) -> None:
    """Apply the creator's withdrawal of the remaining liquidity."""
    market.current_liquidity = 0
    market.accumulated_lp_fees = 0
    projection.withdrawals.append(
        WithdrawalRow(
            signature=placed.place.signature,
            log_index=placed.place.log_index,
            market_id=market.market_id,
            creator=event.creator,
            amount=event.amount,
            withdrawn_at=event.timestamp,
            slot=placed.place.slot,
        )
    )
