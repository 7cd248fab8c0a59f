/*
 * The account list of an instruction, checked in the order of Anchor's generated code:
 *
 *   1. the arguments are decoded;
 *   2. each account is read in turn and converted to its type (`next_...`);
 *   3. accounts to be created are created (`init_...`);
 *   4. each other account's constraints: address, writable, belongs-to, the instruction's own.
 *
 * The handlers call these functions line by line in that order, so that the first failure is the
 * one that is reported.
 */
#pragma once

#include "input.h"
#include "state.h"

/* --- 1: arguments --- */

/* InstructionDidNotDeserialize if the data was too short or a byte is not a bool or option tag.
 * Trailing data is allowed. */
Result check_arguments(const Context *context);

/* --- 2: reading; each raises AccountNotEnoughKeys at the end of the list --- */

/* An account that the instruction will create. */
Result next_new(Context *context, const char *name, Account **account);

/* An account of no particular type. */
Result next_any(Context *context, const char *name, Account **account);

Result next_signer(Context *context, const char *name, Account **account);
Result next_config(Context *context, GlobalConfig *config);
Result next_market(Context *context, Market *market);
Result next_position(Context *context, UserPosition *position);
Result next_system_program(Context *context);

/* --- 3: creating --- */

Result init_config(Context *context, Account *account, Account *payer, GlobalConfig *config);
Result init_market(Context *context, Account *account, Account *payer, const u8 *market_id,
                   Market *market);
Result init_vote(Context *context, Account *payer, const Market *market, VoteRecord *vote);

/* Creates the user's position, or loads it if it is there; fills in the bump either way. */
Result init_position_if_needed(Context *context, const Market *market, Account *user,
                               UserPosition *position, u8 *bump);

/* --- 4: constraints --- */

Result check_config(const Context *context, const GlobalConfig *config);
Result check_market(const Context *context, const Market *market);
Result check_position(const Context *context, const UserPosition *position, const Market *market,
                      const Account *user);
Result check_writable(const Account *account);
Result check_belongs(const Account *account, const Key *owner, const Account *claimant,
                     Error error);
Result constrain(const Account *account, bool condition, Error error);
