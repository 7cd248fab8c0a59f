/*
 * Events: 8 bytes of discriminator and the fields in Borsh, logged as "Program data: <base64>".
 *
 * A handler begins an event, puts its fields in wire order and emits it.
 */
#pragma once

#include "codec.h"
#include "sbf.h"

/* sha256("event:<Name>")[..8], in the byte order of the log. */
typedef enum : u64 {
    GLOBAL_CONFIG_INITIALIZED = 0x05ddac9e4d579d71,
    MARKET_CREATED = 0x58b882e7e254063a,
    PROPOSAL_VOTE_SUBMITTED = 0x9c438f02d9a20638,
    PROPOSAL_AGGREGATED = 0xeaa647763cf38bd5,
    PROPOSAL_APPROVED = 0x46319be49d2b5831,
    MARKET_ACTIVATED = 0xc4494e30bb846b0b,
    SHARES_BOUGHT = 0xf062450afdeae241,
    SHARES_SOLD = 0x23e70535e49e71fb,
    MARKET_RESOLVED = 0x5943e65f8f6ac7ca,
    DISPUTE_INITIATED = 0x966d5dfcc604b799,
    DISPUTE_VOTE_SUBMITTED = 0x2702d5c34e0ac172,
    DISPUTE_AGGREGATED = 0x3a11d2a04b246926,
    MARKET_FINALIZED = 0x533e42cc254ceab3,
    WINNINGS_CLAIMED = 0xbbb81dc436754696,
    LIQUIDITY_WITHDRAWN = 0xf078498b9a1fda44,
    CONFIG_UPDATED = 0x28f1e67a0b13c6c2,
    PROTOCOL_PAUSE_STATUS_CHANGED = 0xbd96d80167233167,
    MARKET_CANCELLED = 0x8ba321a813b451aa,
} EventKind;

enum { LARGEST_EVENT = 127 };

typedef struct {
    u8 bytes[LARGEST_EVENT];
    Codec codec;
} Event;

ALWAYS_INLINE void event_begin(Event *event, EventKind kind)
{
    u64 discriminator = __builtin_bswap64(kind);
    event->codec = (Codec){
        .at = event->bytes,
        .end = event->bytes + LARGEST_EVENT,
        .writing = true,
        .failed = false,
    };
    codec_u64(&event->codec, &discriminator);
}

ALWAYS_INLINE void put_bytes(Event *event, const u8 *bytes, u64 size)
{
    codec_bytes(&event->codec, (u8 *)bytes, size);
}

ALWAYS_INLINE void put_key(Event *event, const Key *key) { codec_key(&event->codec, (Key *)key); }
ALWAYS_INLINE void put_u8(Event *event, u8 value) { codec_u8(&event->codec, &value); }
ALWAYS_INLINE void put_u16(Event *event, u16 value) { codec_u16(&event->codec, &value); }
ALWAYS_INLINE void put_u32(Event *event, u32 value) { codec_u32(&event->codec, &value); }
ALWAYS_INLINE void put_u64(Event *event, u64 value) { codec_u64(&event->codec, &value); }
ALWAYS_INLINE void put_i64(Event *event, i64 value) { codec_i64(&event->codec, &value); }
ALWAYS_INLINE void put_bool(Event *event, bool value) { codec_bool(&event->codec, &value); }

ALWAYS_INLINE void put_option_bool(Event *event, OptionBool value)
{
    codec_option_bool(&event->codec, &value);
}

ALWAYS_INLINE void event_emit(const Event *event)
{
    Slice field = {.at = event->bytes, .size = event->codec.at - event->bytes};
    sol_log_data(&field, 1);
}
