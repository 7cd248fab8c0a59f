/*
 * The runtime's input of an instruction: its accounts, its data and the program's own address.
 */
#pragma once

#include "codec.h"
#include "sbf.h"

/* An account of the instruction. All pointers point into the runtime's buffer, so that a change by
 * a cross-program call, or through another position of the same account, is seen at once. */
typedef struct {
    const char *name; /* its role in the current instruction, for error lines */
    const Key *key;
    const Key *owner;
    u64 *lamports;
    u64 *data_size;
    u8 *data;
    bool signer;
    bool writable;
    bool executable;
} Account;

typedef struct {
    const Key *program_id;
    Account *accounts;
    u64 account_count;
    u64 next_account;
    Codec data; /* the part of the instruction data that has not been decoded yet */
} Context;

void parse_input(u8 *input, Context *context);
