/* A market from its creation to its opening, or to its cancellation. */
#include "accounts.h"
#include "events.h"
#include "fees.h"
#include "instructions.h"
#include "votes.h"

/* A market opens with b / 1000 shares on either side that no one owns. */
#define OPENING_SHARES_DIVISOR 1000

Result create_market(Context *context)
{
    u8 market_id[MARKET_ID_SIZE], question_hash[IPFS_HASH_SIZE];
    u64 b_parameter, initial_liquidity;
    codec_bytes(&context->data, market_id, sizeof market_id);
    codec_u64(&context->data, &b_parameter);
    codec_u64(&context->data, &initial_liquidity);
    codec_bytes(&context->data, question_hash, sizeof question_hash);
    TRY(check_arguments(context));

    Account *creator, *market_account;
    GlobalConfig config;
    Market market;
    TRY(next_signer(context, "creator", &creator));
    TRY(next_new(context, "market", &market_account));
    TRY(next_config(context, &config));
    TRY(next_system_program(context));
    TRY(init_market(context, market_account, creator, market_id, &market));
    TRY(check_writable(creator));
    TRY(check_config(context, &config));

    REQUIRE(!config.is_paused, ErrProtocolPaused);
    REQUIRE(b_parameter > 0, ErrInvalidBParameter);
    REQUIRE(initial_liquidity > 0, ErrInvalidLiquidity);
    __builtin_memcpy(market.market_id, market_id, sizeof market_id);
    market.creator = *creator->key;
    market.state = PROPOSED;
    market.b_parameter = b_parameter;
    market.initial_liquidity = initial_liquidity;
    market.current_liquidity = initial_liquidity;
    market.shares_yes = b_parameter / OPENING_SHARES_DIVISOR;
    market.shares_no = b_parameter / OPENING_SHARES_DIVISOR;
    market.created_at = unix_now();
    __builtin_memcpy(market.ipfs_evidence_hash, question_hash, sizeof question_hash);

    Event event;
    event_begin(&event, MARKET_CREATED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, creator->key);
    put_u64(&event, b_parameter);
    put_u8(&event, market.state);
    put_i64(&event, market.created_at);
    event_emit(&event);
    return save_market(&market);
}

Result approve_proposal(Context *context)
{
    Account *admin;
    Market market;
    GlobalConfig config;
    TRY(next_signer(context, "admin", &admin));
    TRY(next_market(context, &market));
    TRY(next_config(context, &config));
    TRY(check_writable(admin));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(check_config(context, &config));
    TRY(constrain(config.account, same_key(&config.admin, admin->key), ErrUnauthorized));

    const Votes *votes = &market.proposal_votes;
    REQUIRE(market.state == PROPOSED, ErrInvalidStateTransition);
    REQUIRE(votes->total > 0, ErrNoVotesRecorded);
    REQUIRE(share_of_votes(votes) >= config.proposal_approval_threshold, ErrInsufficientVotes);
    market.approved_at = unix_now();
    enter_state(&market, APPROVED);

    Event event;
    event_begin(&event, PROPOSAL_APPROVED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, admin->key);
    put_i64(&event, market.approved_at);
    event_emit(&event);
    return save_market(&market);
}

Result activate_market(Context *context)
{
    Account *authority;
    Market market;
    GlobalConfig config;
    TRY(next_signer(context, "authority", &authority));
    TRY(next_market(context, &market));
    TRY(next_config(context, &config));
    TRY(check_writable(authority));
    bool entitled =
        same_key(&config.admin, authority->key) || same_key(&market.creator, authority->key);
    TRY(constrain(authority, entitled, ErrUnauthorized));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(check_config(context, &config));

    REQUIRE(market.state == APPROVED, ErrInvalidStateTransition);
    REQUIRE(market.current_liquidity >= market.initial_liquidity, ErrInsufficientLiquidity);
    market.activated_at = unix_now();
    enter_state(&market, ACTIVE);

    Event event;
    event_begin(&event, MARKET_ACTIVATED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, &market.creator);
    put_u64(&event, market.initial_liquidity);
    put_i64(&event, market.activated_at);
    event_emit(&event);
    return save_market(&market);
}

Result cancel_market(Context *context)
{
    Account *admin;
    Market market;
    GlobalConfig config;
    TRY(next_signer(context, "admin", &admin));
    TRY(next_market(context, &market));
    TRY(next_config(context, &config));
    TRY(check_market(context, &market));
    TRY(check_writable(market.account));
    TRY(check_config(context, &config));
    TRY(constrain(config.account, same_key(&config.admin, admin->key), ErrUnauthorized));

    REQUIRE(market.state != CANCELLED, ErrMarketAlreadyCancelled);
    REQUIRE(market.state == PROPOSED || market.state == APPROVED, ErrCannotCancelMarket);
    market.cancelled_at = (OptionI64){.some = true, .value = unix_now()};
    enter_state(&market, CANCELLED);

    Event event;
    event_begin(&event, MARKET_CANCELLED);
    put_bytes(&event, market.market_id, MARKET_ID_SIZE);
    put_key(&event, admin->key);
    put_i64(&event, market.cancelled_at.value);
    event_emit(&event);
    return save_market(&market);
}
