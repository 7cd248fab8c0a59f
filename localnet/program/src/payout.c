/* Payouts of a finalized market: winnings or refunds, the resolver's reward, the remainder. */
#include "accounts.h"
#include "events.h"
#include "fixed.h"
#include "instructions.h"
#include "system.h"

#define WITHDRAWAL_RESERVE 10000ull /* lamports that stay on top of the rent minimum */

/* A share of current_liquidity by the winning shares, the opening shares counted. */
static Result winnings_of(const Market *market, const UserPosition *position, u64 *winnings)
{
    bool yes = market->final_outcome.value;
    u64 own = yes ? position->shares_yes : position->shares_no;
    u64 all = yes ? market->shares_yes : market->shares_no;
    REQUIRE(own > 0, ErrNoWinnings);
    TRY(mul_div(own, market->current_liquidity, all, winnings));
    REQUIRE(*winnings > 0, ErrNoWinnings);
    return OK;
}

static Result pay_winner(Market *market, const Account *user, const Account *resolver,
                         u64 winnings)
{
    u64 needed, reward = market->accumulated_resolver_fees;
    TRY(add(winnings, reward, &needed));
    REQUIRE(*market->account->lamports >= needed, ErrInsufficientLiquidity);
    TRY(pay_out(market->account, user, winnings));
    if (reward > 0) {
        TRY(pay_out(market->account, resolver, reward));
        market->accumulated_resolver_fees = 0;
    }
    return OK;
}

/* A market without an outcome refunds what was invested, as long as its balance allows. */
static Result refund(const Market *market, const UserPosition *position, const Account *user)
{
    REQUIRE(position->total_invested > 0, ErrNoWinnings);
    REQUIRE(*market->account->lamports >= position->total_invested, ErrInsufficientLiquidity);
    return pay_out(market->account, user, position->total_invested);
}

Result claim_winnings(Context *context)
{
    GlobalConfig config;
    Market market;
    UserPosition position;
    Account *user, *resolver;
    TRY(next_config(context, &config));
    TRY(next_market(context, &market));
    TRY(next_position(context, &position));
    TRY(next_signer(context, "user", &user));
    TRY(next_any(context, "resolver", &resolver));
    TRY(next_system_program(context));
    TRY(check_config(context, &config));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(constrain(market.account, market.state == FINALIZED, ErrInvalidMarketState));
    TRY(check_position(context, &position, &market, user));
    TRY(check_writable(position.account));
    TRY(check_belongs(position.account, &position.user, user, ErrConstraintHasOne));
    TRY(constrain(position.account, !position.has_claimed, ErrAlreadyClaimed));
    TRY(check_writable(user));
    TRY(check_writable(resolver));
    TRY(constrain(resolver, same_key(&market.resolver, resolver->key), ErrInvalidResolver));

    REQUIRE(!market.is_locked, ErrReentrant);
    u64 amount;
    if (market.final_outcome.some) {
        TRY(winnings_of(&market, &position, &amount));
        TRY(pay_winner(&market, user, resolver, amount));
    } else {
        amount = position.total_invested;
        TRY(refund(&market, &position, user));
    }
    position.has_claimed = true;
    position.claimed_amount = amount;

    Event event;
    event_begin(&event, WINNINGS_CLAIMED);
    put_key(&event, market.account->key);
    put_key(&event, user->key);
    put_option_bool(&event, market.final_outcome);
    put_u64(&event, amount);
    put_i64(&event, unix_now());
    event_emit(&event);
    TRY(save_market(&market));
    return save_position(&position);
}

static u64 withdrawable(const Account *market)
{
    u64 kept = rent_minimum(*market->data_size) + WITHDRAWAL_RESERVE;
    return *market->lamports > kept ? *market->lamports - kept : 0;
}

/* Does not wait for the winners: they can no longer claim what the creator withdraws first. */
Result withdraw_liquidity(Context *context)
{
    Market market;
    Account *creator;
    TRY(next_market(context, &market));
    TRY(next_signer(context, "creator", &creator));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(check_belongs(market.account, &market.creator, creator, ErrUnauthorized));
    TRY(constrain(market.account, market.state == FINALIZED, ErrInvalidMarketState));
    TRY(check_writable(creator));

    u64 amount = withdrawable(market.account);
    REQUIRE(amount > 0, ErrInsufficientLiquidity);
    TRY(pay_out(market.account, creator, amount));
    market.current_liquidity = 0;
    market.accumulated_lp_fees = 0;

    Event event;
    event_begin(&event, LIQUIDITY_WITHDRAWN);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, creator->key);
    put_u64(&event, amount);
    put_i64(&event, unix_now());
    event_emit(&event);
    return save_market(&market);
}
