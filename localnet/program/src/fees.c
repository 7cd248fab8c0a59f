#include "fees.h"

#include "errors.h"
#include "fixed.h"

/* These products are 64-bit in the program, unlike those of the market maker. */
static Result share_of(u64 amount, u64 part, u64 whole, u64 *share)
{
    u64 product;
    TRY(mul(amount, part, &product));
    *share = product / whole;
    return OK;
}

Result split_fees(const GlobalConfig *config, u64 amount, Fees *fees)
{
    u64 total_bps = (u64)config->protocol_fee_bps + config->resolver_reward_bps +
                    config->liquidity_provider_fee_bps;
    REQUIRE(total_bps != 0, ErrDivisionByZero);
    TRY(share_of(amount, total_bps, BASIS_POINTS, &fees->total));
    TRY(share_of(fees->total, config->protocol_fee_bps, total_bps, &fees->protocol));
    TRY(share_of(fees->total, config->resolver_reward_bps, total_bps, &fees->resolver));
    fees->lp = fees->total - fees->protocol - fees->resolver;
    return OK;
}
