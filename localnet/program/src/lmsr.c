#include "lmsr.h"

#include "errors.h"
#include "fixed.h"

enum { MAX_ROUNDS = 50 };
#define SEARCH_TOLERANCE 1000000ull
#define SEARCH_RANGE 20 /* the search ends at 20 b shares */

static u64 distance(u64 a, u64 b)
{
    return a > b ? a - b : b - a;
}

Result lmsr_cost(const Pool *pool, u64 *cost)
{
    REQUIRE(pool->b >= MIN_B, ErrInvalidBParameter);
    u64 x, y, power, inverse, logarithm, exponent;
    TRY(fixed_div(pool->yes, pool->b, &x));
    TRY(fixed_div(pool->no, pool->b, &y));
    TRY(fixed_exp(distance(x, y), &power));
    TRY(fixed_div(ONE, power, &inverse));
    TRY(fixed_ln(ONE + inverse, &logarithm));
    TRY(add(x > y ? x : y, logarithm, &exponent));
    return fixed_mul(pool->b, exponent, cost);
}

Result lmsr_price_yes(const Pool *pool, u64 *price)
{
    REQUIRE(pool->b >= MIN_B, ErrInvalidBParameter);
    u64 ratio, power;
    TRY(fixed_div(distance(pool->yes, pool->no), pool->b, &ratio));
    TRY(fixed_exp(ratio, &power));
    return fixed_div(pool->yes >= pool->no ? power : ONE, ONE + power, price);
}

/* The cost that `shares` more of one side add; the inaccuracy can make it negative. */
static Result cost_of_adding(const Pool *pool, bool yes, u64 shares, u64 before, u64 *difference)
{
    Pool grown = *pool;
    u64 *side = yes ? &grown.yes : &grown.no;
    u64 after;
    TRY(add(*side, shares, side));
    TRY(lmsr_cost(&grown, &after));
    REQUIRE(after >= before, ErrUnderflowError);
    *difference = after - before;
    return OK;
}

Result lmsr_buy(const Pool *pool, bool yes, u64 budget, u64 *shares, u64 *cost)
{
    u64 before;
    TRY(lmsr_cost(pool, &before));
    REQUIRE(pool->b <= UINT64_MAX / SEARCH_RANGE, ErrOverflowError);
    u64 low = 0, high = SEARCH_RANGE * pool->b;
    for (u64 round = 0; round < MAX_ROUNDS && high - low > SEARCH_TOLERANCE; round++) {
        u64 middle = low + (high - low) / 2;
        u64 asked;
        TRY(cost_of_adding(pool, yes, middle, before, &asked));
        if (asked == budget) {
            *shares = middle;
            *cost = asked;
            return OK;
        }
        if (asked < budget)
            low = middle + 1;
        else
            high = middle;
    }
    *shares = low;
    return cost_of_adding(pool, yes, low, before, cost);
}

Result lmsr_sell(const Pool *pool, bool yes, u64 shares, u64 *proceeds)
{
    Pool shrunk = *pool;
    u64 *side = yes ? &shrunk.yes : &shrunk.no;
    u64 before, after;
    REQUIRE(*side >= shares, ErrInsufficientShares);
    *side -= shares;
    TRY(lmsr_cost(pool, &before));
    TRY(lmsr_cost(&shrunk, &after));
    REQUIRE(before >= after, ErrUnderflowError);
    *proceeds = before - after;
    return OK;
}

Result lmsr_max_loss(u64 b, u64 *loss)
{
    return fixed_mul(b, LN_2, loss);
}
