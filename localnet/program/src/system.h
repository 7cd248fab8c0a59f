/*
 * Lamports: the System program's instructions, rent, and payments out of the program's accounts.
 */
#pragma once

#include "addresses.h"
#include "input.h"

extern const Key SYSTEM_PROGRAM; /* 32 zero bytes */

/* The balance that exempts an account of this size from rent, at the cluster's default rate. */
u64 rent_minimum(u64 size);

/* System transfer; the sender must have signed the transaction. */
void transfer(const Account *from, const Account *to, u64 lamports);

/* Creates the account at its program address, zeroed and rent-exempt, owned by the program. An
 * address that already holds lamports is topped up and assigned. */
Result create_account(const Context *context, const Account *payer, const Account *account,
                      const Seeds *seeds, u64 size);

/* Moves lamports out of an account of the program: InsufficientFunds, or WouldBreakRentExemption
 * when less than the rent minimum would stay. */
Result pay_out(const Account *from, const Account *to, u64 lamports);
