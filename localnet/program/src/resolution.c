/* From a proposed outcome, through a dispute if there is one, to the final outcome. */
#include "accounts.h"
#include "events.h"
#include "fixed.h"
#include "instructions.h"
#include "lmsr.h"
#include "votes.h"

#define LIFETIME 315360000ll /* ten years of seconds from a market's creation */

static Result add_seconds(i64 time, i64 seconds, i64 *sum)
{
    REQUIRE(seconds <= 0 || time <= INT64_MAX - seconds, ErrOverflowError);
    *sum = time + seconds;
    return OK;
}

static Result check_lifetime(const Market *market, i64 now)
{
    i64 end;
    TRY(add_seconds(market->created_at, LIFETIME, &end));
    REQUIRE(now >= market->created_at, ErrInvalidTimestamp);
    REQUIRE(now <= end, ErrInvalidTimestamp);
    return OK;
}

Result resolve_market(Context *context)
{
    bool outcome;
    u8 evidence_hash[IPFS_HASH_SIZE];
    codec_bool(&context->data, &outcome);
    codec_bytes(&context->data, evidence_hash, sizeof evidence_hash);
    TRY(check_arguments(context));

    GlobalConfig config;
    Market market;
    Account *resolver;
    TRY(next_config(context, &config));
    TRY(next_market(context, &market));
    TRY(next_signer(context, "resolver", &resolver));
    TRY(check_config(context, &config));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(constrain(market.account, market.state == ACTIVE, ErrInvalidMarketState));
    TRY(check_writable(resolver));

    i64 now = unix_now();
    REQUIRE(!market.proposed_outcome.some, ErrAlreadyResolved);
    TRY(check_lifetime(&market, now));
    REQUIRE(now > market.activated_at, ErrInvalidTimestamp);
    market.proposed_outcome = (OptionBool){.some = true, .value = outcome};
    market.resolver = *resolver->key;
    __builtin_memcpy(market.ipfs_evidence_hash, evidence_hash, sizeof evidence_hash);
    market.resolution_proposed_at = now;
    market.resolution_votes = (Votes){0};
    enter_state(&market, RESOLVING);

    Event event;
    event_begin(&event, MARKET_RESOLVED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, resolver->key);
    put_bool(&event, outcome);
    put_bytes(&event, evidence_hash, IPFS_HASH_SIZE);
    put_i64(&event, now);
    event_emit(&event);
    return save_market(&market);
}

Result initiate_dispute(Context *context)
{
    GlobalConfig config;
    Market market;
    Account *initiator;
    TRY(next_config(context, &config));
    TRY(next_market(context, &market));
    TRY(next_signer(context, "initiator", &initiator));
    TRY(check_config(context, &config));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(constrain(market.account, market.state == RESOLVING, ErrInvalidMarketState));

    i64 now = unix_now(), window_end;
    REQUIRE(now > market.resolution_proposed_at, ErrInvalidTimestamp);
    TRY(add_seconds(market.resolution_proposed_at, config.dispute_period, &window_end));
    REQUIRE(now < window_end, ErrDisputePeriodEnded);
    market.dispute_initiator = *initiator->key;
    market.dispute_initiated_at = now;
    market.dispute_votes = (Votes){0};
    enter_state(&market, DISPUTED);

    Event event;
    event_begin(&event, DISPUTE_INITIATED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, initiator->key);
    put_option_bool(&event, market.proposed_outcome);
    put_i64(&event, now);
    event_emit(&event);
    return save_market(&market);
}

/* The proposed outcome, or its opposite if enough votes agree with the dispute. No window: the
 * count may come at any time. */
static Result decide_dispute(Market *market, const GlobalConfig *config, OptionU32 agree,
                             OptionU32 disagree)
{
    Votes *votes = &market->dispute_votes;
    REQUIRE(agree.some && disagree.some, ErrNoVotesRecorded);
    TRY(set_votes(votes, agree.value, disagree.value));
    REQUIRE(votes->total > 0, ErrNoVotesRecorded);
    market->final_outcome = market->proposed_outcome;
    if (share_of_votes(votes) >= config->dispute_success_threshold)
        market->final_outcome.value = !market->proposed_outcome.value;
    return OK;
}

static Result accept_proposal(Market *market, const GlobalConfig *config, i64 now)
{
    i64 window_end;
    TRY(add_seconds(market->resolution_proposed_at, config->dispute_period, &window_end));
    REQUIRE(now >= window_end, ErrDisputePeriodNotEnded);
    market->final_outcome = market->proposed_outcome;
    return OK;
}

static Result check_bounded_loss(const Market *market)
{
    u64 max_loss, loss = 0;
    TRY(lmsr_max_loss(market->b_parameter, &max_loss));
    if (market->initial_liquidity > market->current_liquidity)
        loss = market->initial_liquidity - market->current_liquidity;
    REQUIRE(loss <= max_loss, ErrBoundedLossExceeded);
    return OK;
}

Result finalize_market(Context *context)
{
    OptionU32 agree, disagree;
    codec_option_u32(&context->data, &agree);
    codec_option_u32(&context->data, &disagree);
    TRY(check_arguments(context));

    GlobalConfig config;
    Market market;
    Account *authority;
    TRY(next_config(context, &config));
    TRY(next_market(context, &market));
    TRY(next_signer(context, "backend_authority", &authority));
    TRY(check_config(context, &config));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    bool disputed = market.state == DISPUTED;
    TRY(constrain(market.account, disputed || market.state == RESOLVING, ErrInvalidMarketState));
    TRY(constrain(authority, same_key(&config.backend_authority, authority->key),
                  ErrUnauthorized));

    i64 now = unix_now();
    TRY(check_lifetime(&market, now));
    REQUIRE(now > market.resolution_proposed_at, ErrInvalidTimestamp);
    if (disputed)
        TRY(decide_dispute(&market, &config, agree, disagree));
    else
        TRY(accept_proposal(&market, &config, now));
    TRY(check_bounded_loss(&market));
    market.was_disputed = disputed;
    market.finalized_at = now;
    enter_state(&market, FINALIZED);

    Event event;
    event_begin(&event, MARKET_FINALIZED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_option_bool(&event, market.final_outcome);
    put_bool(&event, disputed);
    put_i64(&event, now);
    event_emit(&event);
    return save_market(&market);
}
