#include "input.h"

/*
 * The buffer: u64 number of accounts; per account a marker byte, then either (0xff) signer,
 * writable, executable, 4 spare bytes, key, owner, lamports, data size, data, room to grow, padding
 * to 8 and the rent epoch, or the index of the earlier account it repeats and 7 spare bytes; then
 * u64 size and bytes of the instruction data; then the program id.
 */
enum {
    NOT_A_DUPLICATE = 0xff,
    GROWTH_ROOM = 10240,
};

/* The runtime's 32 KiB heap holds the account list; the stack is too small for it. */
static Account *const ACCOUNT_LIST = (Account *)0x300000000ull;

static u8 *align8(u8 *at)
{
    return (u8 *)(((u64)at + 7) & ~7ull);
}

static u8 *parse_account(u8 *at, Account *account)
{
    account->signer = at[1] != 0;
    account->writable = at[2] != 0;
    account->executable = at[3] != 0;
    account->key = (const Key *)(at + 8);
    account->owner = (const Key *)(at + 40);
    account->lamports = (u64 *)(at + 72);
    account->data_size = (u64 *)(at + 80);
    account->data = at + 88;
    u8 *after_data = align8(account->data + *account->data_size + GROWTH_ROOM);
    return after_data + sizeof(u64);
}

void parse_input(u8 *input, Context *context)
{
    u8 *at = input;
    context->accounts = ACCOUNT_LIST;
    context->next_account = 0;
    context->account_count = *(u64 *)at;
    at += sizeof(u64);
    for (u64 i = 0; i < context->account_count; i++) {
        Account *account = &context->accounts[i];
        u8 marker = *at;
        if (marker == NOT_A_DUPLICATE) {
            at = parse_account(at, account);
        } else {
            *account = context->accounts[marker];
            at += sizeof(u64);
        }
    }
    u64 data_size = *(u64 *)at;
    at += sizeof(u64);
    context->data = (Codec){.at = at, .end = at + data_size, .writing = false, .failed = false};
    context->program_id = (const Key *)(at + data_size);
}
