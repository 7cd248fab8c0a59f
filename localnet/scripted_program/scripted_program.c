/*
 * The scripted program: it executes the operations in its instruction data. Tests use it for the
 * behaviour of third-party programs: look-alike events, nested calls, log spam, failures.
 *
 * Data: operations one after another, each a byte and its arguments (little endian).
 *   1  log text  u16 times, u16 size, text    logs the line `times` times
 *   2  log data  u16 size, bytes              logs a `Program data:` line
 *   3  call      u8 program, u8 accounts, u16 size, data
 *                calls the program at that index with the first accounts of this instruction
 *   4  fail      u32 code                     fails with this custom error
 */
#include "input.h"
#include "sbf.h"

enum { LOG_TEXT = 1, LOG_DATA = 2, CALL = 3, FAIL = 4 };
enum { MAX_ACCOUNTS = 24 };
enum { MALFORMED = 1 };

typedef struct {
    const u8 *at;
    const u8 *end;
} Script;

static u64 number(Script *script, u64 size)
{
    u64 value = 0;
    for (u64 i = 0; i < size && script->at < script->end; i++)
        value |= (u64)*script->at++ << (8 * i);
    return value;
}

static bool read_bytes(Script *script, u64 size, const u8 **bytes)
{
    if (size > (u64)(script->end - script->at))
        return false;
    *bytes = script->at;
    script->at += size;
    return true;
}

static Result log_text(Script *script)
{
    u64 times = number(script, 2);
    u64 size = number(script, 2);
    const u8 *text;
    if (!read_bytes(script, size, &text))
        return MALFORMED;
    for (u64 i = 0; i < times; i++)
        sol_log_((const char *)text, size);
    return OK;
}

static Result log_data(Script *script)
{
    Slice field = {.size = number(script, 2)};
    const u8 *bytes;
    if (!read_bytes(script, field.size, &bytes))
        return MALFORMED;
    field.at = bytes;
    sol_log_data(&field, 1);
    return OK;
}

static Result call(Script *script, const Context *context)
{
    u64 program = number(script, 1);
    u64 count = number(script, 1);
    u64 size = number(script, 2);
    const u8 *bytes;
    if (!read_bytes(script, size, &bytes) || program >= context->account_count ||
        count > context->account_count || count > MAX_ACCOUNTS)
        return MALFORMED;
    AccountMeta metas[MAX_ACCOUNTS];
    AccountInfo infos[MAX_ACCOUNTS];
    for (u64 i = 0; i < count; i++) {
        const Account *account = &context->accounts[i];
        metas[i] = (AccountMeta){
            .key = account->key, .writable = account->writable, .signer = account->signer};
        infos[i] = (AccountInfo){
            .key = account->key,
            .lamports = account->lamports,
            .data_size = *account->data_size,
            .data = account->data,
            .owner = account->owner,
            .rent_epoch = 0,
            .signer = account->signer,
            .writable = account->writable,
            .executable = account->executable,
        };
    }
    Instruction instruction = {
        .program = context->accounts[program].key,
        .accounts = metas,
        .account_count = count,
        .data = bytes,
        .data_size = size,
    };
    return sol_invoke_signed_c(&instruction, infos, count, 0, 0);
}

u64 entrypoint(u8 *input)
{
    Context context;
    parse_input(input, &context);
    Script script = {.at = context.data.at, .end = context.data.end};
    while (script.at < script.end) {
        Result result;
        switch (number(&script, 1)) {
        case LOG_TEXT:
            result = log_text(&script);
            break;
        case LOG_DATA:
            result = log_data(&script);
            break;
        case CALL:
            result = call(&script, &context);
            break;
        case FAIL:
            result = number(&script, 4);
            break;
        default:
            result = MALFORMED;
        }
        TRY(result);
    }
    return OK;
}
