/*
 * The machine: integer types, public keys and the runtime's syscalls.
 *
 * The target has no signed division, no 128-bit multiplication or division, at most five
 * arguments in registers and a 4 KiB stack frame; the code here is written with that in mind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

/* The result of an instruction: OK, or the number of a custom program error. */
typedef u64 Result;
#define OK 0

#define TRY(step)                     \
    do {                              \
        Result result_ = (step);      \
        if (result_ != OK)            \
            return result_;           \
    } while (0)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef struct {
    u64 word[4];
} Key;

static inline bool same_key(const Key *a, const Key *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
           a->word[3] == b->word[3];
}

/* A run of bytes, in the layout that syscalls take for seeds and log fields. */
typedef struct {
    const void *at;
    u64 size;
} Slice;

typedef struct {
    u64 slot;
    i64 epoch_start_timestamp;
    u64 epoch;
    u64 leader_schedule_epoch;
    i64 unix_timestamp;
} Clock;

typedef struct {
    const Key *key;
    bool writable;
    bool signer;
} AccountMeta;

typedef struct {
    const Key *program;
    const AccountMeta *accounts;
    u64 account_count;
    const u8 *data;
    u64 data_size;
} Instruction;

/* An account as a cross-program call requires it: pointers into the input buffer. */
typedef struct {
    const Key *key;
    u64 *lamports;
    u64 data_size;
    u8 *data;
    const Key *owner;
    u64 rent_epoch;
    bool signer;
    bool writable;
    bool executable;
} AccountInfo;

typedef struct {
    const Slice *parts;
    u64 count;
} SignerSeeds;

void sol_log_(const char *text, u64 size);
void sol_log_pubkey(const Key *key);
void sol_log_data(const Slice *fields, u64 count);
u64 sol_get_clock_sysvar(Clock *clock);
u64 sol_create_program_address(const Slice *seeds, u64 count, const Key *program, Key *address);
u64 sol_try_find_program_address(const Slice *seeds, u64 count, const Key *program, Key *address,
                                 u8 *bump);
/* Never returns a failure: a failed call aborts the whole transaction. */
u64 sol_invoke_signed_c(const Instruction *instruction, const AccountInfo *accounts,
                        u64 account_count, const SignerSeeds *signers, u64 signer_count);

/* Seconds since 1970, as the cluster counts them. */
static inline i64 unix_now(void)
{
    Clock clock;
    sol_get_clock_sysvar(&clock);
    return clock.unix_timestamp;
}
