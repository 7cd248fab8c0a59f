/*
 * The four accounts of the program, as records; `state.c` has their layouts.
 */
#pragma once

#include "codec.h"
#include "errors.h"
#include "input.h"

/* Allocated bytes. A record is shorter; the rest of its account stays zero. */
enum {
    CONFIG_SIZE = 206,
    MARKET_SIZE = 488,
    POSITION_SIZE = 182,
    VOTE_SIZE = 83,
};

enum { MARKET_ID_SIZE = 32, IPFS_HASH_SIZE = 46 };

typedef enum {
    PROPOSED,
    APPROVED,
    ACTIVE,
    RESOLVING,
    DISPUTED,
    FINALIZED,
    CANCELLED,
} MarketState;

typedef enum {
    PROPOSAL_VOTE,
    DISPUTE_VOTE,
} VoteKind;

typedef struct {
    Account *account;
    Key admin;
    Key backend_authority;
    Key protocol_fee_wallet;
    u16 protocol_fee_bps;
    u16 resolver_reward_bps;
    u16 liquidity_provider_fee_bps;
    u16 proposal_approval_threshold; /* basis points, as the next */
    u16 dispute_success_threshold;
    i64 min_resolution_delay; /* seconds; no instruction reads it */
    i64 dispute_period;       /* seconds */
    u16 min_resolver_reputation; /* no instruction reads it */
    bool is_paused;
    u8 reserved[64];
    u8 bump;
} GlobalConfig;

typedef struct {
    u32 agree; /* likes, where the vote is on a proposal */
    u32 disagree;
    u32 total;
} Votes;

typedef struct {
    Account *account;
    u8 market_id[MARKET_ID_SIZE];
    Key creator;
    u8 state; /* MarketState */
    u64 b_parameter;
    u64 initial_liquidity; /* a counter; no lamports are deposited for it */
    u64 current_liquidity; /* payouts are a share of it; not a balance either */
    u64 shares_yes;
    u64 shares_no;
    u64 total_volume;
    i64 created_at;
    i64 approved_at;
    i64 activated_at;
    i64 resolution_proposed_at;
    i64 resolved_at;
    i64 finalized_at;
    Key resolver;
    OptionBool proposed_outcome;
    OptionBool final_outcome;
    u8 ipfs_evidence_hash[IPFS_HASH_SIZE]; /* the question's, until a resolution overwrites it */
    i64 dispute_initiated_at;
    Key dispute_initiator;
    u64 accumulated_protocol_fees; /* never written */
    u64 accumulated_resolver_fees;
    u64 accumulated_lp_fees;
    Votes proposal_votes;
    Votes resolution_votes; /* always zero */
    Votes dispute_votes;
    bool was_disputed;
    bool is_cancelled; /* never set; see cancelled_at */
    OptionI64 cancelled_at;
    bool is_locked; /* during a payment */
    u8 reserved[119];
    u8 bump;
} Market;

typedef struct {
    Account *account;
    Key market;
    Key user;
    u64 shares_yes;
    u64 shares_no;
    u64 total_invested; /* lamports paid by all buys, fees included */
    u32 trades_count;
    i64 last_trade_at;
    bool has_claimed;
    u64 claimed_amount;
    u8 reserved[64];
    u8 bump;
} UserPosition;

typedef struct {
    Account *account;
    Key market;
    Key user;
    u8 kind; /* VoteKind */
    bool vote;
    i64 voted_at;
    u8 bump;
} VoteRecord;

/* Reading an account of the type: AccountNotInitialized, AccountOwnedByWrongProgram, the two
 * discriminator errors and AccountDidNotDeserialize, in this order. */
Result load_config(const Context *context, Account *account, GlobalConfig *config);
Result load_market(const Context *context, Account *account, Market *market);
Result load_position(const Context *context, Account *account, UserPosition *position);

/* A record for an account that has just been created: all zero. */
void new_config(Account *account, GlobalConfig *config);
void new_market(Account *account, Market *market);
void new_position(Account *account, UserPosition *position);

/* Writing the record back; the account's bytes beyond the record stay unchanged. */
Result save_config(GlobalConfig *config);
Result save_market(Market *market);
Result save_position(UserPosition *position);
Result save_vote(VoteRecord *vote);

/* Changes the state, and logs "State transition: Active -> Resolving". */
void enter_state(Market *market, MarketState next);
