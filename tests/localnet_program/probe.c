/* The program's arithmetic without the program: an operation's number and its u64 operands come in
 * as instruction data, its results go out as return data. */
#include "errors.h"
#include "fees.h"
#include "fixed.h"
#include "input.h"
#include "lmsr.h"

void sol_set_return_data(const u8 *data, u64 size);

typedef enum { MUL_DIV, EXP, LN, COST, PRICE, BUY, SELL, SPLIT, MAX_LOSS } Operation;

enum { OPERANDS = 5, RESULTS = 4 };

static Result compute(Operation operation, const u64 *in, u64 *out)
{
    Pool pool = {.b = in[0], .yes = in[1], .no = in[2]};
    switch (operation) {
    case MUL_DIV:
        return mul_div(in[0], in[1], in[2], &out[0]);
    case EXP:
        return fixed_exp(in[0], &out[0]);
    case LN:
        return fixed_ln(in[0], &out[0]);
    case COST:
        return lmsr_cost(&pool, &out[0]);
    case PRICE:
        return lmsr_price_yes(&pool, &out[0]);
    case BUY:
        return lmsr_buy(&pool, in[3], in[4], &out[0], &out[1]);
    case SELL:
        return lmsr_sell(&pool, in[3], in[4], &out[0]);
    case SPLIT: {
        GlobalConfig config;
        Fees fees;
        config.protocol_fee_bps = in[0];
        config.resolver_reward_bps = in[1];
        config.liquidity_provider_fee_bps = in[2];
        TRY(split_fees(&config, in[3], &fees));
        out[0] = fees.protocol;
        out[1] = fees.resolver;
        out[2] = fees.lp;
        out[3] = fees.total;
        return OK;
    }
    case MAX_LOSS:
        return lmsr_max_loss(in[0], &out[0]);
    }
    return 1;
}

u64 entrypoint(u8 *input)
{
    Context context;
    u8 operation;
    u64 in[OPERANDS], out[RESULTS];
    parse_input(input, &context);
    codec_u8(&context.data, &operation);
    for (u64 i = 0; i < OPERANDS; i++)
        codec_u64(&context.data, &in[i]);
    for (u64 i = 0; i < RESULTS; i++)
        out[i] = 0;
    TRY(compute(operation, in, out));
    sol_set_return_data((const u8 *)out, sizeof out);
    return OK;
}
