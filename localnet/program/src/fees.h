/*
 * How a trade's fee is divided.
 */
#pragma once

#include "sbf.h"
#include "state.h"

#define BASIS_POINTS 10000ull

typedef struct {
    u64 protocol; /* paid to the fee wallet at once */
    u64 resolver; /* kept in the market for the resolver */
    u64 lp;       /* kept in the market; includes the rounding remainder */
    u64 total;
} Fees;

Result split_fees(const GlobalConfig *config, u64 amount, Fees *fees);
