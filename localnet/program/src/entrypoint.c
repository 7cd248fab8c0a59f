#include "errors.h"
#include "instructions.h"

static Result dispatch(Context *context)
{
    u64 discriminator = 0;
    codec_u64(&context->data, &discriminator);
    if (context->data.failed)
        return raise(ErrInstructionFallbackNotFound);
    switch (__builtin_bswap64(discriminator)) {
#define CALL(discriminator, name, handler) \
    case discriminator:                    \
        log_line("Instruction: " name);    \
        return handler(context);
        INSTRUCTIONS(CALL)
#undef CALL
    }
    return raise(ErrInstructionFallbackNotFound);
}

u64 entrypoint(u8 *input)
{
    Context context;
    parse_input(input, &context);
    return dispatch(&context);
}
