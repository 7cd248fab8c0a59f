#include "system.h"

#include "errors.h"

enum {
    RENT_OVERHEAD = 128,
    RENT_PER_BYTE = 6960,
};

typedef enum {
    CREATE_ACCOUNT = 0,
    ASSIGN = 1,
    TRANSFER = 2,
    ALLOCATE = 8,
} SystemInstruction;

enum { LARGEST_DATA = 52, LARGEST_ACCOUNT_LIST = 2 };

const Key SYSTEM_PROGRAM = {{0}};

typedef struct {
    u8 data[LARGEST_DATA];
    u64 data_size;
    AccountMeta metas[LARGEST_ACCOUNT_LIST];
    AccountInfo infos[LARGEST_ACCOUNT_LIST];
    u64 account_count;
} Call;

static void begin_call(Call *call, SystemInstruction kind)
{
    u32 tag = kind;
    __builtin_memcpy(call->data, &tag, sizeof tag);
    call->data_size = sizeof tag;
    call->account_count = 0;
}

static void add_u64(Call *call, u64 value)
{
    __builtin_memcpy(call->data + call->data_size, &value, sizeof value);
    call->data_size += sizeof value;
}

static void add_key(Call *call, const Key *key)
{
    __builtin_memcpy(call->data + call->data_size, key, sizeof *key);
    call->data_size += sizeof *key;
}

static void add_account(Call *call, const Account *account, bool signer)
{
    u64 i = call->account_count++;
    call->metas[i] = (AccountMeta){.key = account->key, .writable = true, .signer = signer};
    call->infos[i] = (AccountInfo){
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

static void invoke(const Call *call, const Seeds *seeds)
{
    Instruction instruction = {
        .program = &SYSTEM_PROGRAM,
        .accounts = call->metas,
        .account_count = call->account_count,
        .data = call->data,
        .data_size = call->data_size,
    };
    SignerSeeds signer;
    if (seeds) {
        signer.parts = seeds->parts;
        signer.count = seeds->count;
    }
    sol_invoke_signed_c(&instruction, call->infos, call->account_count, &signer, seeds ? 1 : 0);
}

u64 rent_minimum(u64 size)
{
    return (RENT_OVERHEAD + size) * RENT_PER_BYTE;
}

void transfer(const Account *from, const Account *to, u64 lamports)
{
    Call call;
    begin_call(&call, TRANSFER);
    add_u64(&call, lamports);
    add_account(&call, from, true);
    add_account(&call, to, false);
    invoke(&call, 0);
}

static void create(const Context *context, const Account *payer, const Account *account,
                   const Seeds *seeds, u64 size)
{
    Call call;
    begin_call(&call, CREATE_ACCOUNT);
    add_u64(&call, rent_minimum(size));
    add_u64(&call, size);
    add_key(&call, context->program_id);
    add_account(&call, payer, true);
    add_account(&call, account, true);
    invoke(&call, seeds);
}

static void allocate(const Account *account, const Seeds *seeds, u64 size)
{
    Call call;
    begin_call(&call, ALLOCATE);
    add_u64(&call, size);
    add_account(&call, account, true);
    invoke(&call, seeds);
}

static void assign(const Context *context, const Account *account, const Seeds *seeds)
{
    Call call;
    begin_call(&call, ASSIGN);
    add_key(&call, context->program_id);
    add_account(&call, account, true);
    invoke(&call, seeds);
}

Result create_account(const Context *context, const Account *payer, const Account *account,
                      const Seeds *seeds, u64 size)
{
    if (*account->lamports == 0) {
        create(context, payer, account, seeds, size);
        return OK;
    }
    if (same_key(payer->key, account->key))
        return raise(ErrTryingToInitPayerAsProgramAccount);
    if (*account->lamports < rent_minimum(size))
        transfer(payer, account, rent_minimum(size) - *account->lamports);
    allocate(account, seeds, size);
    assign(context, account, seeds);
    return OK;
}

Result pay_out(const Account *from, const Account *to, u64 lamports)
{
    REQUIRE(*from->lamports >= lamports, ErrInsufficientFunds);
    REQUIRE(*from->lamports - lamports >= rent_minimum(*from->data_size),
            ErrWouldBreakRentExemption);
    *from->lamports -= lamports;
    *to->lamports += lamports;
    return OK;
}
