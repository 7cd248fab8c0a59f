/*
 * Borsh: little endian, fields one after another, an option is a tag byte and then the value.
 *
 * One walk over a record's fields serves both directions, so a layout is written down once. The
 * codec remembers the first failure (end of data, a byte that is not a bool, option tag or enum
 * value); callers check `failed` when the walk is over.
 */
#pragma once

#include "sbf.h"

typedef struct {
    u8 *at;
    u8 *end;
    bool writing;
    bool failed;
} Codec;

typedef struct {
    bool some;
    bool value;
} OptionBool;

typedef struct {
    bool some;
    u32 value;
} OptionU32;

typedef struct {
    bool some;
    i64 value;
} OptionI64;

ALWAYS_INLINE void codec_bytes(Codec *codec, void *field, u64 size)
{
    if (codec->failed || (u64)(codec->end - codec->at) < size) {
        codec->failed = true;
        return;
    }
    if (codec->writing)
        __builtin_memcpy(codec->at, field, size);
    else
        __builtin_memcpy(field, codec->at, size);
    codec->at += size;
}

ALWAYS_INLINE void codec_key(Codec *codec, Key *field) { codec_bytes(codec, field, sizeof *field); }
ALWAYS_INLINE void codec_u16(Codec *codec, u16 *field) { codec_bytes(codec, field, sizeof *field); }
ALWAYS_INLINE void codec_u32(Codec *codec, u32 *field) { codec_bytes(codec, field, sizeof *field); }
ALWAYS_INLINE void codec_u64(Codec *codec, u64 *field) { codec_bytes(codec, field, sizeof *field); }
ALWAYS_INLINE void codec_i64(Codec *codec, i64 *field) { codec_bytes(codec, field, sizeof *field); }
ALWAYS_INLINE void codec_u8(Codec *codec, u8 *field) { codec_bytes(codec, field, sizeof *field); }

/* A byte from 0 to `highest`: a bool, an option's tag, an enum's variant. */
ALWAYS_INLINE void codec_choice(Codec *codec, u8 *field, u8 highest)
{
    codec_u8(codec, field);
    if (!codec->failed && *field > highest)
        codec->failed = true;
}

ALWAYS_INLINE void codec_bool(Codec *codec, bool *field)
{
    u8 byte = codec->writing ? *field : 0;
    codec_choice(codec, &byte, 1);
    if (!codec->writing)
        *field = byte == 1;
}

ALWAYS_INLINE void codec_option_bool(Codec *codec, OptionBool *field)
{
    codec_bool(codec, &field->some);
    if (field->some)
        codec_bool(codec, &field->value);
}

ALWAYS_INLINE void codec_option_u32(Codec *codec, OptionU32 *field)
{
    codec_bool(codec, &field->some);
    if (field->some)
        codec_u32(codec, &field->value);
}

ALWAYS_INLINE void codec_option_i64(Codec *codec, OptionI64 *field)
{
    codec_bool(codec, &field->some);
    if (field->some)
        codec_i64(codec, &field->value);
}
