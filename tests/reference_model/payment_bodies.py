"""The instructions of the model that move lamports: buy, sell, claim, withdraw."""

from __future__ import annotations

from tests.reference_model.account_frame import Frame, Refused, require, u32, u64
from zmart_pipelines.program import calls, events, lmsr
from zmart_pipelines.program.accounts import ALLOCATED_SIZE, MarketAccount, UserPosition
from zmart_pipelines.program.errors import ProgramError as E
from zmart_pipelines.program.payout import WITHDRAWAL_RESERVE, rent_minimum


def _side(outcome: bool) -> str:
    return "shares_yes" if outcome else "shares_no"


def buy(f: Frame, call: calls.BuyShares) -> None:
    """buy_shares: the resolver's and LP's fees raise the counted liquidity, the base does not."""
    config, market = f.config(), f.market()
    require(not config.is_paused, E.ProtocolPaused)
    pool = lmsr.Pool.of(market)
    fill = lmsr.buy(pool, call.outcome, call.target_cost, lmsr.Fees.of(config))
    f.system_transfer("user", "market", fill.total - fill.protocol_fee)
    f.system_transfer("user", "protocol_fee_wallet", fill.protocol_fee)
    side = _side(call.outcome)
    kept = fill.resolver_fee + fill.lp_fee
    f.update(
        "market",
        **{side: u64(getattr(market, side) + fill.shares)},
        total_volume=u64(market.total_volume + fill.total),
        current_liquidity=u64(market.current_liquidity + kept),
        accumulated_resolver_fees=u64(market.accumulated_resolver_fees + fill.resolver_fee),
        accumulated_lp_fees=u64(market.accumulated_lp_fees + fill.lp_fee),
    )
    position = f.state.get("position")
    if not isinstance(position, UserPosition) or position.trades_count == 0:
        position = UserPosition(
            market=bytes(f.key["market"]),
            user=bytes(f.key["user"]),
            shares_yes=0,
            shares_no=0,
            total_invested=0,
            trades_count=0,
            last_trade_at=0,
            has_claimed=False,
            claimed_amount=0,
            reserved=bytes(64),
            bump=f.bumps["position"],
        )
    f.state["position"] = position
    f.update(
        "position",
        **{side: u64(getattr(position, side) + fill.shares)},
        total_invested=u64(position.total_invested + fill.total),
        trades_count=u32(position.trades_count + 1),
        last_trade_at=f.now,
    )
    f.events.append(
        events.SharesBought(
            market.market_id,
            bytes(f.key["user"]),
            call.outcome,
            fill.shares,
            fill.total,
            lmsr.price_yes(lmsr.Pool.of(f.market())),
            f.now,
        )
    )


def sell(f: Frame, call: calls.SellShares) -> None:
    """sell_shares: always fails where it would pay, since the market cannot sign a transfer."""
    config, market = f.config(), f.market()
    require(not config.is_paused, E.ProtocolPaused)
    require(not market.is_locked, E.Reentrant)
    held = getattr(f.position(), _side(call.outcome))
    require(held >= call.shares_to_sell, E.InsufficientShares)
    sale = lmsr.sell(
        lmsr.Pool.of(market),
        call.outcome,
        call.shares_to_sell,
        call.min_proceeds,
        lmsr.Fees.of(config),
    )
    paid = u64(sale.net + sale.protocol_fee)
    require(market.current_liquidity >= paid, E.InsufficientLiquidity)
    raise Refused("PrivilegeEscalation")


def claim(f: Frame, call: calls.ClaimWinnings) -> None:
    """claim_winnings: pro rata of the counted liquidity; the first claim pays the resolver."""
    market, position = f.market(), f.position()
    require(not market.is_locked, E.Reentrant)
    if market.final_outcome is None:
        winnings = position.total_invested
        require(winnings > 0, E.NoWinnings)
        require(f.lamports("market") >= winnings, E.InsufficientLiquidity)
        f.pay_from_market("user", winnings)
    else:
        side = _side(market.final_outcome)
        held, outstanding = getattr(position, side), getattr(market, side)
        require(held > 0, E.NoWinnings)
        require(outstanding > 0, E.DivisionByZero)
        winnings = u64(held * market.current_liquidity // outstanding)
        require(winnings > 0, E.NoWinnings)
        reward = market.accumulated_resolver_fees
        require(f.lamports("market") >= u64(winnings + reward), E.InsufficientLiquidity)
        f.pay_from_market("user", winnings)
        if reward > 0:
            f.pay_from_market("resolver", reward)
            f.update("market", accumulated_resolver_fees=0)
    f.update("position", has_claimed=True, claimed_amount=winnings)
    f.events.append(
        events.WinningsClaimed(
            user=bytes(f.key["user"]),
            amount=winnings,
            timestamp=f.now,
            market=bytes(f.key["market"]),
            outcome=market.final_outcome,
        )
    )


def withdraw(f: Frame, call: calls.WithdrawLiquidity) -> None:
    """withdraw_liquidity: all but rent and a reserve, without waiting for claims."""
    minimum = rent_minimum(ALLOCATED_SIZE[MarketAccount])
    amount = f.lamports("market") - minimum - WITHDRAWAL_RESERVE
    require(amount > 0, E.InsufficientLiquidity)
    f.pay_from_market("creator", amount)
    f.update("market", current_liquidity=0, accumulated_lp_fees=0)
    f.events.append(
        events.LiquidityWithdrawn(f.market().market_id, bytes(f.key["creator"]), amount, f.now)
    )
