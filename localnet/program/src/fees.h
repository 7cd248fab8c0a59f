/*
 * How a trade's fee is divided.
 */
#pragma once

#include "sbf.h"
#include "state.h"

#define BASIS_POINTS 10000ull

typedef struct {
    u64 protocol; /* leaves to the fee wallet at once */
    u64 resolver; /* waits in the market for the resolver */
    u64 lp;       /* waits in the market; takes what rounding leaves over */
    u64 total;
} Fees;

Result split_fees(const GlobalConfig *config, u64 amount, Fees *fees);
