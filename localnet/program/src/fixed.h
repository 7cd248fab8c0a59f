/*
 * Fixed-point numbers with nine decimals, as unsigned 64-bit integers; every division floors.
 */
#pragma once

#include "errors.h"
#include "sbf.h"

#define ONE 1000000000ull
#define LN_2 693147180ull
#define MAX_EXPONENT (20 * ONE)

/* a * b / c over the full 128-bit product; DivisionByZero, or OverflowError past 64 bits. */
Result mul_div(u64 a, u64 b, u64 c, u64 *quotient);

static inline Result fixed_mul(u64 a, u64 b, u64 *product) { return mul_div(a, b, ONE, product); }
static inline Result fixed_div(u64 a, u64 b, u64 *quotient) { return mul_div(a, ONE, b, quotient); }

/* a * b, or OverflowError past 64 bits. */
Result mul(u64 a, u64 b, u64 *product);

static inline Result add(u64 a, u64 b, u64 *sum)
{
    REQUIRE(a <= UINT64_MAX - b, ErrOverflowError);
    *sum = a + b;
    return OK;
}

/* e^x by the 2/2 rational approximation: it peaks at x = 3.46 and falls back towards 1. */
Result fixed_exp(u64 x, u64 *result);

/* ln x by halving into [1, 2) and three terms of the series; wrong in sign below 1. */
Result fixed_ln(u64 x, u64 *result);
