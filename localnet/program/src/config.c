/* GlobalConfig: authorities, fees, thresholds, windows and the pause switch. */
#include "accounts.h"
#include "events.h"
#include "fees.h"
#include "instructions.h"

enum {
    DEFAULT_PROTOCOL_FEE = 300,
    DEFAULT_RESOLVER_REWARD = 200,
    DEFAULT_LIQUIDITY_PROVIDER_FEE = 500,
    DEFAULT_APPROVAL_THRESHOLD = 7000,
    DEFAULT_DISPUTE_THRESHOLD = 6000,
    DEFAULT_RESOLUTION_DELAY = 86400,
    DEFAULT_DISPUTE_PERIOD = 259200,
    DEFAULT_RESOLVER_REPUTATION = 8000,
};

Result initialize_global_config(Context *context)
{
    Key backend_authority;
    codec_key(&context->data, &backend_authority);
    TRY(check_arguments(context));

    Account *admin, *config_account, *fee_wallet;
    GlobalConfig config;
    TRY(next_signer(context, "admin", &admin));
    TRY(next_new(context, "global_config", &config_account));
    TRY(next_any(context, "protocol_fee_wallet", &fee_wallet));
    TRY(next_system_program(context));
    TRY(init_config(context, config_account, admin, &config));
    TRY(check_writable(admin));

    config.admin = *admin->key;
    config.backend_authority = backend_authority;
    config.protocol_fee_wallet = *fee_wallet->key;
    config.protocol_fee_bps = DEFAULT_PROTOCOL_FEE;
    config.resolver_reward_bps = DEFAULT_RESOLVER_REWARD;
    config.liquidity_provider_fee_bps = DEFAULT_LIQUIDITY_PROVIDER_FEE;
    config.proposal_approval_threshold = DEFAULT_APPROVAL_THRESHOLD;
    config.dispute_success_threshold = DEFAULT_DISPUTE_THRESHOLD;
    config.min_resolution_delay = DEFAULT_RESOLUTION_DELAY;
    config.dispute_period = DEFAULT_DISPUTE_PERIOD;
    config.min_resolver_reputation = DEFAULT_RESOLVER_REPUTATION;

    Event event;
    event_begin(&event, GLOBAL_CONFIG_INITIALIZED);
    put_key(&event, &config.admin);
    put_key(&event, &config.backend_authority);
    put_u16(&event, config.protocol_fee_bps);
    put_i64(&event, unix_now());
    event_emit(&event);
    return save_config(&config);
}

static Result check_fees_and_thresholds(const GlobalConfig *config)
{
    u64 fees = (u64)config->protocol_fee_bps + config->resolver_reward_bps +
               config->liquidity_provider_fee_bps;
    REQUIRE(fees <= BASIS_POINTS, ErrInvalidFeeStructure);
    REQUIRE(config->proposal_approval_threshold <= BASIS_POINTS, ErrInvalidThreshold);
    REQUIRE(config->dispute_success_threshold <= BASIS_POINTS, ErrInvalidThreshold);
    return OK;
}

/* A time limit that is not given keeps its value. */
static Result set_time_limit(OptionI64 given, i64 *limit)
{
    if (!given.some)
        return OK;
    REQUIRE(given.value > 0, ErrInvalidTimeLimit);
    *limit = given.value;
    return OK;
}

Result update_global_config(Context *context)
{
    u16 protocol_fee, resolver_reward, lp_fee, approval_threshold, dispute_threshold;
    OptionI64 min_resolution_delay, dispute_period;
    codec_u16(&context->data, &protocol_fee);
    codec_u16(&context->data, &resolver_reward);
    codec_u16(&context->data, &lp_fee);
    codec_u16(&context->data, &approval_threshold);
    codec_u16(&context->data, &dispute_threshold);
    codec_option_i64(&context->data, &min_resolution_delay);
    codec_option_i64(&context->data, &dispute_period);
    TRY(check_arguments(context));

    Account *admin;
    GlobalConfig config;
    TRY(next_signer(context, "admin", &admin));
    TRY(next_config(context, &config));
    TRY(check_config(context, &config));
    TRY(check_writable(config.account));
    TRY(constrain(config.account, same_key(&config.admin, admin->key), ErrUnauthorized));

    config.protocol_fee_bps = protocol_fee;
    config.resolver_reward_bps = resolver_reward;
    config.liquidity_provider_fee_bps = lp_fee;
    config.proposal_approval_threshold = approval_threshold;
    config.dispute_success_threshold = dispute_threshold;
    TRY(check_fees_and_thresholds(&config));
    TRY(set_time_limit(min_resolution_delay, &config.min_resolution_delay));
    TRY(set_time_limit(dispute_period, &config.dispute_period));

    Event event;
    event_begin(&event, CONFIG_UPDATED);
    put_u16(&event, config.protocol_fee_bps);
    put_u16(&event, config.resolver_reward_bps);
    put_u16(&event, config.liquidity_provider_fee_bps);
    put_u16(&event, config.proposal_approval_threshold);
    put_u16(&event, config.dispute_success_threshold);
    put_i64(&event, config.min_resolution_delay);
    put_i64(&event, config.dispute_period);
    put_i64(&event, unix_now());
    event_emit(&event);
    return save_config(&config);
}

/* A toggle: the same call pauses and resumes. */
Result emergency_pause(Context *context)
{
    Account *admin;
    GlobalConfig config;
    TRY(next_signer(context, "admin", &admin));
    TRY(next_config(context, &config));
    TRY(check_config(context, &config));
    TRY(check_writable(config.account));
    TRY(constrain(config.account, same_key(&config.admin, admin->key), ErrUnauthorized));

    config.is_paused = !config.is_paused;

    Event event;
    event_begin(&event, PROTOCOL_PAUSE_STATUS_CHANGED);
    put_bool(&event, config.is_paused);
    put_key(&event, admin->key);
    put_i64(&event, unix_now());
    event_emit(&event);
    return save_config(&config);
}
