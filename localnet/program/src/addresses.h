/*
 * Program-derived addresses: the seeds of each account, and finding or checking its address.
 */
#pragma once

#include "errors.h"
#include "input.h"
#include "sbf.h"

enum { MAX_SEEDS = 5 };

typedef struct {
    Slice parts[MAX_SEEDS]; /* the last one in use is the bump */
    u64 count;
    u8 bump;
} Seeds;

void config_seeds(Seeds *seeds);
void market_seeds(Seeds *seeds, const u8 *market_id);
void position_seeds(Seeds *seeds, const Key *market, const Key *user);
void vote_seeds(Seeds *seeds, const Key *market, const Key *user, const u8 *kind);

/* Fills in the bump of the canonical address. */
void find_address(const Context *context, Seeds *seeds, Key *address);

/* ConstraintSeeds unless the account lies at the canonical address; fills in the bump. */
Result check_canonical_address(const Context *context, const Account *account, Seeds *seeds);

/* ConstraintSeeds unless the account lies at the address with the bump that it stores. */
Result check_address(const Context *context, const Account *account, Seeds *seeds, u8 bump);
