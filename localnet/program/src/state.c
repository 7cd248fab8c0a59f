#include "state.h"

#include "system.h"

/* sha256("account:<Name>")[..8], in the byte order of the account. */
#define DISCRIMINATOR(bytes) __builtin_bswap64(bytes)
#define CONFIG_DISCRIMINATOR DISCRIMINATOR(0x95089ccaa0fcb0d9)
#define MARKET_DISCRIMINATOR DISCRIMINATOR(0xc94ebbe1f0c6c9fb)
#define POSITION_DISCRIMINATOR DISCRIMINATOR(0xfbf8d1f553ea111b)
#define VOTE_DISCRIMINATOR DISCRIMINATOR(0x70097ba5ea099da7)
enum { DISCRIMINATOR_SIZE = 8 };

/* --- layouts --- */

static void config_fields(Codec *codec, GlobalConfig *config)
{
    codec_key(codec, &config->admin);
    codec_key(codec, &config->backend_authority);
    codec_key(codec, &config->protocol_fee_wallet);
    codec_u16(codec, &config->protocol_fee_bps);
    codec_u16(codec, &config->resolver_reward_bps);
    codec_u16(codec, &config->liquidity_provider_fee_bps);
    codec_u16(codec, &config->proposal_approval_threshold);
    codec_u16(codec, &config->dispute_success_threshold);
    codec_i64(codec, &config->min_resolution_delay);
    codec_i64(codec, &config->dispute_period);
    codec_u16(codec, &config->min_resolver_reputation);
    codec_bool(codec, &config->is_paused);
    codec_bytes(codec, config->reserved, sizeof config->reserved);
    codec_u8(codec, &config->bump);
}

static void votes_fields(Codec *codec, Votes *votes)
{
    codec_u32(codec, &votes->agree);
    codec_u32(codec, &votes->disagree);
    codec_u32(codec, &votes->total);
}

static void market_fields(Codec *codec, Market *market)
{
    codec_bytes(codec, market->market_id, sizeof market->market_id);
    codec_key(codec, &market->creator);
    codec_choice(codec, &market->state, CANCELLED);
    codec_u64(codec, &market->b_parameter);
    codec_u64(codec, &market->initial_liquidity);
    codec_u64(codec, &market->current_liquidity);
    codec_u64(codec, &market->shares_yes);
    codec_u64(codec, &market->shares_no);
    codec_u64(codec, &market->total_volume);
    codec_i64(codec, &market->created_at);
    codec_i64(codec, &market->approved_at);
    codec_i64(codec, &market->activated_at);
    codec_i64(codec, &market->resolution_proposed_at);
    codec_i64(codec, &market->resolved_at);
    codec_i64(codec, &market->finalized_at);
    codec_key(codec, &market->resolver);
    codec_option_bool(codec, &market->proposed_outcome);
    codec_option_bool(codec, &market->final_outcome);
    codec_bytes(codec, market->ipfs_evidence_hash, sizeof market->ipfs_evidence_hash);
    codec_i64(codec, &market->dispute_initiated_at);
    codec_key(codec, &market->dispute_initiator);
    codec_u64(codec, &market->accumulated_protocol_fees);
    codec_u64(codec, &market->accumulated_resolver_fees);
    codec_u64(codec, &market->accumulated_lp_fees);
    votes_fields(codec, &market->proposal_votes);
    votes_fields(codec, &market->resolution_votes);
    votes_fields(codec, &market->dispute_votes);
    codec_bool(codec, &market->was_disputed);
    codec_bool(codec, &market->is_cancelled);
    codec_option_i64(codec, &market->cancelled_at);
    codec_bool(codec, &market->is_locked);
    codec_bytes(codec, market->reserved, sizeof market->reserved);
    codec_u8(codec, &market->bump);
}

static void position_fields(Codec *codec, UserPosition *position)
{
    codec_key(codec, &position->market);
    codec_key(codec, &position->user);
    codec_u64(codec, &position->shares_yes);
    codec_u64(codec, &position->shares_no);
    codec_u64(codec, &position->total_invested);
    codec_u32(codec, &position->trades_count);
    codec_i64(codec, &position->last_trade_at);
    codec_bool(codec, &position->has_claimed);
    codec_u64(codec, &position->claimed_amount);
    codec_bytes(codec, position->reserved, sizeof position->reserved);
    codec_u8(codec, &position->bump);
}

static void vote_fields(Codec *codec, VoteRecord *vote)
{
    codec_key(codec, &vote->market);
    codec_key(codec, &vote->user);
    codec_choice(codec, &vote->kind, DISPUTE_VOTE);
    codec_bool(codec, &vote->vote);
    codec_i64(codec, &vote->voted_at);
    codec_u8(codec, &vote->bump);
}

/* --- reading --- */

static void open_record(const Account *account, Codec *codec)
{
    codec->at = account->data + DISCRIMINATOR_SIZE;
    codec->end = account->data + *account->data_size;
    codec->writing = false;
    codec->failed = false;
}

static Result check_type(const Context *context, const Account *account, u64 discriminator)
{
    if (*account->lamports == 0 && same_key(account->owner, &SYSTEM_PROGRAM))
        return raise_for(ErrAccountNotInitialized, account->name);
    if (!same_key(account->owner, context->program_id))
        return raise_for_keys(ErrAccountOwnedByWrongProgram, account->name, account->owner,
                              context->program_id);
    if (*account->data_size < DISCRIMINATOR_SIZE)
        return raise_for(ErrAccountDiscriminatorNotFound, account->name);
    if (*(const u64 *)account->data != discriminator)
        return raise_for(ErrAccountDiscriminatorMismatch, account->name);
    return OK;
}

static Result check_read(const Account *account, const Codec *codec)
{
    return codec->failed ? raise_for(ErrAccountDidNotDeserialize, account->name) : OK;
}

Result load_config(const Context *context, Account *account, GlobalConfig *config)
{
    Codec codec;
    config->account = account;
    TRY(check_type(context, account, CONFIG_DISCRIMINATOR));
    open_record(account, &codec);
    config_fields(&codec, config);
    return check_read(account, &codec);
}

Result load_market(const Context *context, Account *account, Market *market)
{
    Codec codec;
    market->account = account;
    TRY(check_type(context, account, MARKET_DISCRIMINATOR));
    open_record(account, &codec);
    market_fields(&codec, market);
    return check_read(account, &codec);
}

Result load_position(const Context *context, Account *account, UserPosition *position)
{
    Codec codec;
    position->account = account;
    TRY(check_type(context, account, POSITION_DISCRIMINATOR));
    open_record(account, &codec);
    position_fields(&codec, position);
    return check_read(account, &codec);
}

/* The data of a fresh account is all zero, and zeros are a valid record of every type. */

void new_config(Account *account, GlobalConfig *config)
{
    Codec codec;
    config->account = account;
    open_record(account, &codec);
    config_fields(&codec, config);
}

void new_market(Account *account, Market *market)
{
    Codec codec;
    market->account = account;
    open_record(account, &codec);
    market_fields(&codec, market);
}

void new_position(Account *account, UserPosition *position)
{
    Codec codec;
    position->account = account;
    open_record(account, &codec);
    position_fields(&codec, position);
}

/* --- writing --- */

static void begin_record(const Account *account, u64 discriminator, Codec *codec)
{
    codec->at = account->data;
    codec->end = account->data + *account->data_size;
    codec->writing = true;
    codec->failed = false;
    codec_u64(codec, &discriminator);
}

static Result check_written(const Account *account, const Codec *codec)
{
    return codec->failed ? raise_for(ErrAccountDidNotSerialize, account->name) : OK;
}

Result save_config(GlobalConfig *config)
{
    Codec codec;
    begin_record(config->account, CONFIG_DISCRIMINATOR, &codec);
    config_fields(&codec, config);
    return check_written(config->account, &codec);
}

Result save_market(Market *market)
{
    Codec codec;
    begin_record(market->account, MARKET_DISCRIMINATOR, &codec);
    market_fields(&codec, market);
    return check_written(market->account, &codec);
}

Result save_position(UserPosition *position)
{
    Codec codec;
    begin_record(position->account, POSITION_DISCRIMINATOR, &codec);
    position_fields(&codec, position);
    return check_written(position->account, &codec);
}

Result save_vote(VoteRecord *vote)
{
    Codec codec;
    begin_record(vote->account, VOTE_DISCRIMINATOR, &codec);
    vote_fields(&codec, vote);
    return check_written(vote->account, &codec);
}

/* --- transitions --- */

void enter_state(Market *market, MarketState next)
{
    /* All transitions, one constant line each. */
    switch (market->state << 4 | next) {
    case PROPOSED << 4 | APPROVED:
        log_line("State transition: Proposed -> Approved");
        break;
    case APPROVED << 4 | ACTIVE:
        log_line("State transition: Approved -> Active");
        break;
    case ACTIVE << 4 | RESOLVING:
        log_line("State transition: Active -> Resolving");
        break;
    case RESOLVING << 4 | DISPUTED:
        log_line("State transition: Resolving -> Disputed");
        break;
    case RESOLVING << 4 | FINALIZED:
        log_line("State transition: Resolving -> Finalized");
        break;
    case DISPUTED << 4 | FINALIZED:
        log_line("State transition: Disputed -> Finalized");
        break;
    case PROPOSED << 4 | CANCELLED:
        log_line("State transition: Proposed -> Cancelled");
        break;
    case APPROVED << 4 | CANCELLED:
        log_line("State transition: Approved -> Cancelled");
        break;
    }
    market->state = next;
}
