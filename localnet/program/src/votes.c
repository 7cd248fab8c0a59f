/* Casting votes, and the backend's reports of their counts. */
#include "votes.h"

#include "accounts.h"
#include "addresses.h"
#include "events.h"
#include "fees.h"
#include "instructions.h"

Result set_votes(Votes *votes, u32 agree, u32 disagree)
{
    REQUIRE(agree <= UINT32_MAX - disagree, ErrOverflowError);
    votes->agree = agree;
    votes->disagree = disagree;
    votes->total = agree + disagree;
    return OK;
}

u64 share_of_votes(const Votes *votes)
{
    return votes->total ? votes->agree * BASIS_POINTS / votes->total : 0;
}

/* One permanent record per wallet, market and kind: creating a second one fails. */
static Result submit_vote(Context *context, VoteKind kind, MarketState state, EventKind event_kind)
{
    VoteRecord vote;
    Account *user;
    Market market;
    codec_bool(&context->data, &vote.vote);
    TRY(check_arguments(context));

    TRY(next_market(context, &market));
    TRY(next_new(context, "vote_record", &vote.account));
    TRY(next_signer(context, "user", &user));
    TRY(next_system_program(context));
    vote.kind = kind;
    TRY(init_vote(context, user, &market, &vote));
    TRY(check_market(context, &market));
    TRY(constrain(market.account, market.state == state, ErrInvalidStateForVoting));
    TRY(check_writable(user));

    vote.market = *market.account->key;
    vote.user = *user->key;
    vote.voted_at = unix_now();

    Event event;
    event_begin(&event, event_kind);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, user->key);
    put_bool(&event, vote.vote);
    put_i64(&event, vote.voted_at);
    event_emit(&event);
    return save_vote(&vote);
}

Result submit_proposal_vote(Context *context)
{
    return submit_vote(context, PROPOSAL_VOTE, PROPOSED, PROPOSAL_VOTE_SUBMITTED);
}

Result submit_dispute_vote(Context *context)
{
    return submit_vote(context, DISPUTE_VOTE, DISPUTED, DISPUTE_VOTE_SUBMITTED);
}

/* The common part of both reports: the counts, the accounts, and the authority check. */
static Result next_report(Context *context, MarketState state, Market *market,
                          GlobalConfig *config, Votes *votes)
{
    u32 agree, disagree;
    codec_u32(&context->data, &agree);
    codec_u32(&context->data, &disagree);
    TRY(check_arguments(context));

    Account *authority;
    TRY(next_market(context, market));
    TRY(next_config(context, config));
    TRY(next_signer(context, "backend_authority", &authority));
    TRY(check_market(context, market));
    TRY(check_writable(market->account));
    TRY(constrain(market->account, market->state == state, ErrInvalidStateForVoting));
    TRY(check_config(context, config));
    TRY(constrain(authority, same_key(&config->backend_authority, authority->key),
                  ErrUnauthorized));

    Seeds seeds;
    Key canonical;
    config_seeds(&seeds);
    find_address(context, &seeds, &canonical);
    REQUIRE(same_key(config->account->key, &canonical), ErrInvalidGlobalConfig);
    return set_votes(votes, agree, disagree);
}

static void emit_report(EventKind kind, const Market *market, const Votes *votes, bool passed)
{
    Event event;
    event_begin(&event, kind);
    put_bytes(&event, market->market_id, MARKET_ID_SIZE);
    put_u32(&event, votes->agree);
    put_u32(&event, votes->disagree);
    put_u8(&event, share_of_votes(votes) / 100);
    put_bool(&event, passed);
    put_i64(&event, unix_now());
    event_emit(&event);
}

/* Only stores the counts: approval is a separate step. */
Result aggregate_proposal_votes(Context *context)
{
    Market market;
    GlobalConfig config;
    Votes *votes = &market.proposal_votes;
    TRY(next_report(context, PROPOSED, &market, &config, votes));

    bool approved = share_of_votes(votes) >= config.proposal_approval_threshold;
    emit_report(PROPOSAL_AGGREGATED, &market, votes, approved);
    return save_market(&market);
}

/* Changes the state unexpectedly: a dispute that succeeds returns the market to Resolving with the
 * disputed outcome in place, one that fails finalizes it without an outcome. */
Result aggregate_dispute_votes(Context *context)
{
    Market market;
    GlobalConfig config;
    Votes *votes = &market.dispute_votes;
    TRY(next_report(context, DISPUTED, &market, &config, votes));

    bool succeeded =
        votes->total > 0 && share_of_votes(votes) >= config.dispute_success_threshold;
    if (succeeded) {
        market.state = RESOLVING;
    } else {
        market.resolved_at = unix_now();
        enter_state(&market, FINALIZED);
    }
    market.was_disputed = true;
    emit_report(DISPUTE_AGGREGATED, &market, votes, succeeded);
    return save_market(&market);
}
