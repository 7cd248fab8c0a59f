/* Buying and selling shares. */
#include "accounts.h"
#include "events.h"
#include "fees.h"
#include "fixed.h"
#include "instructions.h"
#include "lmsr.h"
#include "system.h"

#define MIN_TRADE 10000ull /* lamports */

/* The part of a buyer's limit that goes to shares. The divisor assumes fees of ten percent,
 * whatever the config says. */
enum { BUDGET_NUMERATOR = 10000, BUDGET_DIVISOR = 11000 };

typedef struct {
    GlobalConfig config;
    Market market;
    UserPosition position;
    Account *user;
    Account *fee_wallet;
    bool yes; /* the side traded */
} Trade;

ALWAYS_INLINE Pool pool_of(const Market *market)
{
    return (Pool){.b = market->b_parameter, .yes = market->shares_yes, .no = market->shares_no};
}

static Result check_fee_wallet(const Trade *trade)
{
    TRY(check_writable(trade->fee_wallet));
    bool expected = same_key(&trade->config.protocol_fee_wallet, trade->fee_wallet->key);
    return constrain(trade->fee_wallet, expected, ErrUnauthorized);
}

static Result next_market_and_config(Context *context, Trade *trade)
{
    TRY(next_config(context, &trade->config));
    return next_market(context, &trade->market);
}

static Result next_traders(Context *context, Trade *trade)
{
    TRY(next_signer(context, "user", &trade->user));
    TRY(next_any(context, "protocol_fee_wallet", &trade->fee_wallet));
    return next_system_program(context);
}

static Result check_market_and_config(const Context *context, const Trade *trade)
{
    const Market *market = &trade->market;
    TRY(check_config(context, &trade->config));
    TRY(check_market(context, market));
    TRY(check_writable(market->account));
    return constrain(market->account, market->state == ACTIVE, ErrInvalidMarketState);
}

static Result emit_trade(EventKind kind, const Trade *trade, u64 shares, u64 lamports)
{
    Pool pool = pool_of(&trade->market);
    u64 price;
    TRY(lmsr_price_yes(&pool, &price));

    Event event;
    event_begin(&event, kind);
    put_bytes(&event, trade->market.market_id, MARKET_ID_SIZE);
    put_key(&event, trade->user->key);
    put_bool(&event, trade->yes);
    put_u64(&event, shares);
    put_u64(&event, lamports);
    put_u64(&event, price);
    put_i64(&event, trade->position.last_trade_at);
    event_emit(&event);
    return OK;
}

static Result next_buy(Context *context, Trade *trade)
{
    TRY(next_market_and_config(context, trade));
    TRY(next_new(context, "position", &trade->position.account));
    TRY(next_traders(context, trade));
    u8 bump;
    UserPosition *position = &trade->position;
    TRY(init_position_if_needed(context, &trade->market, trade->user, position, &bump));
    if (position->trades_count == 0) {
        position->market = *trade->market.account->key;
        position->user = *trade->user->key;
        position->bump = bump;
    }
    TRY(check_market_and_config(context, trade));
    TRY(check_writable(trade->user));
    return check_fee_wallet(trade);
}

static u64 *side_of_market(Trade *trade)
{
    return trade->yes ? &trade->market.shares_yes : &trade->market.shares_no;
}

static u64 *side_of_position(Trade *trade)
{
    return trade->yes ? &trade->position.shares_yes : &trade->position.shares_no;
}

/* The common part of a purchase and a sale. */
static Result record_trade(Trade *trade, u64 volume, const Fees *fees)
{
    Market *market = &trade->market;
    UserPosition *position = &trade->position;
    TRY(add(market->total_volume, volume, &market->total_volume));
    TRY(add(market->accumulated_resolver_fees, fees->resolver,
            &market->accumulated_resolver_fees));
    TRY(add(market->accumulated_lp_fees, fees->lp, &market->accumulated_lp_fees));
    REQUIRE(position->trades_count < UINT32_MAX, ErrOverflowError);
    position->trades_count++;
    position->last_trade_at = unix_now();
    return OK;
}

/* The cost of the shares goes into the account, but not into current_liquidity; the fees do. */
static Result add_bought(Trade *trade, u64 shares, u64 total, const Fees *fees)
{
    Market *market = &trade->market;
    UserPosition *position = &trade->position;
    TRY(add(*side_of_market(trade), shares, side_of_market(trade)));
    TRY(add(*side_of_position(trade), shares, side_of_position(trade)));
    TRY(add(market->current_liquidity, fees->resolver + fees->lp, &market->current_liquidity));
    TRY(add(position->total_invested, total, &position->total_invested));
    return record_trade(trade, total, fees);
}

Result buy_shares(Context *context)
{
    Trade trade;
    u64 target_cost;
    codec_bool(&context->data, &trade.yes);
    codec_u64(&context->data, &target_cost);
    TRY(check_arguments(context));
    TRY(next_buy(context, &trade));

    REQUIRE(!trade.config.is_paused, ErrProtocolPaused);
    REQUIRE(target_cost >= MIN_TRADE, ErrTradeTooSmall);
    Pool pool = pool_of(&trade.market);
    u64 scaled, shares, base, total;
    Fees fees;
    TRY(mul(target_cost, BUDGET_NUMERATOR, &scaled));
    TRY(lmsr_buy(&pool, trade.yes, scaled / BUDGET_DIVISOR, &shares, &base));
    TRY(split_fees(&trade.config, base, &fees));
    TRY(add(base, fees.total, &total));
    REQUIRE(total <= target_cost, ErrSlippageExceeded);

    transfer(trade.user, trade.market.account, total - fees.protocol);
    transfer(trade.user, trade.fee_wallet, fees.protocol);
    TRY(add_bought(&trade, shares, total, &fees));
    TRY(emit_trade(SHARES_BOUGHT, &trade, shares, total));
    TRY(save_market(&trade.market));
    return save_position(&trade.position);
}

static Result next_sell(Context *context, Trade *trade)
{
    const UserPosition *position = &trade->position;
    TRY(next_market_and_config(context, trade));
    TRY(next_position(context, &trade->position));
    TRY(next_traders(context, trade));
    TRY(check_market_and_config(context, trade));
    TRY(check_position(context, position, &trade->market, trade->user));
    TRY(check_writable(position->account));
    TRY(check_belongs(position->account, &position->user, trade->user, ErrUnauthorized));
    TRY(check_writable(trade->user));
    return check_fee_wallet(trade);
}

#ifdef SELL_WORKS
static Result pay_seller(const Account *market, const Account *to, u64 lamports)
{
    return pay_out(market, to, lamports);
}
#else
/* As deployed: a System transfer out of an account that the System program does not own and that
 * has not signed. The runtime refuses it, so no sale succeeds. */
static Result pay_seller(const Account *market, const Account *to, u64 lamports)
{
    transfer(market, to, lamports);
    return OK;
}
#endif

static Result subtract_sold(Trade *trade, u64 shares, u64 gross, const Fees *fees)
{
    *side_of_market(trade) -= shares;
    *side_of_position(trade) -= shares;
    trade->market.current_liquidity -= gross - fees->resolver - fees->lp;
    return record_trade(trade, gross, fees);
}

Result sell_shares(Context *context)
{
    Trade trade;
    u64 shares, min_proceeds;
    codec_bool(&context->data, &trade.yes);
    codec_u64(&context->data, &shares);
    codec_u64(&context->data, &min_proceeds);
    TRY(check_arguments(context));
    TRY(next_sell(context, &trade));

    const Market *market = &trade.market;
    REQUIRE(!trade.config.is_paused, ErrProtocolPaused);
    REQUIRE(!market->is_locked, ErrReentrant);
    REQUIRE(*side_of_position(&trade) >= shares, ErrInsufficientShares);
    Pool pool = pool_of(market);
    u64 gross;
    Fees fees;
    TRY(lmsr_sell(&pool, trade.yes, shares, &gross));
    REQUIRE(gross >= MIN_TRADE, ErrTradeTooSmall);
    TRY(split_fees(&trade.config, gross, &fees));
    u64 net = gross - fees.total;
    REQUIRE(net >= min_proceeds, ErrSlippageExceeded);
    REQUIRE(market->current_liquidity >= net + fees.protocol, ErrInsufficientLiquidity);

    TRY(subtract_sold(&trade, shares, gross, &fees));
    TRY(pay_seller(market->account, trade.user, net));
    TRY(pay_seller(market->account, trade.fee_wallet, fees.protocol));
    TRY(emit_trade(SHARES_SOLD, &trade, shares, net));
    TRY(save_market(&trade.market));
    return save_position(&trade.position);
}
