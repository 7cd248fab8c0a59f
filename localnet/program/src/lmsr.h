/*
 * The market maker: a logarithmic scoring rule in integers, with the inaccuracy of fixed_exp and
 * fixed_ln. Quantities and b are in shares, costs in lamports, prices in fixed point.
 */
#pragma once

#include "sbf.h"

#define MIN_B 100000000000ull /* 100 SOL; markets below it can exist, but not trade */

typedef struct {
    u64 b;
    u64 yes;
    u64 no;
} Pool;

/* C = b * (max(x, y) + ln(1 + e^-|x-y|)) with x = yes/b, y = no/b. */
Result lmsr_cost(const Pool *pool, u64 *cost);

Result lmsr_price_yes(const Pool *pool, u64 *price);

/* How many shares of one side `budget` lamports buy, by bisection to 0.001 share, and what they
 * cost exactly. */
Result lmsr_buy(const Pool *pool, bool yes, u64 budget, u64 *shares, u64 *cost);

/* The proceeds of `shares` of one side. */
Result lmsr_sell(const Pool *pool, bool yes, u64 shares, u64 *proceeds);

/* The most a market maker with this b can lose: b ln 2. */
Result lmsr_max_loss(u64 b, u64 *loss);
