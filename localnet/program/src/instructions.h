/*
 * The 18 instructions. Each handler follows one pattern: decode the arguments, read the accounts,
 * create, check constraints (see accounts.h), then act, emit and save.
 */
#pragma once

#include "input.h"

/* sha256("global:<snake_case_name>")[..8], in the byte order of the instruction data. */
#define INSTRUCTIONS(X)                                                                \
    X(0x71d87a83e1d11637, "InitializeGlobalConfig", initialize_global_config)          \
    X(0xa45482bd6f3afac8, "UpdateGlobalConfig", update_global_config)                  \
    X(0x158f1b8ec8b5d2ff, "EmergencyPause", emergency_pause)                           \
    X(0x67e261ebc8bcfbfe, "CreateMarket", create_market)                               \
    X(0x886c665562720793, "ApproveProposal", approve_proposal)                         \
    X(0x0a1ac57471634859, "ActivateMarket", activate_market)                           \
    X(0xcd7954d2de47960b, "CancelMarket", cancel_market)                               \
    X(0xb1bb3be61db90ef0, "SubmitProposalVote", submit_proposal_vote)                  \
    X(0x31df3d4298eb48e6, "SubmitDisputeVote", submit_dispute_vote)                    \
    X(0x1a9c1215b9b0ca48, "AggregateProposalVotes", aggregate_proposal_votes)          \
    X(0x4a0e1e13d48d7019, "AggregateDisputeVotes", aggregate_dispute_votes)            \
    X(0x28ef8a9a08256a6c, "BuyShares", buy_shares)                                     \
    X(0xb8a4a910e79ec7c4, "SellShares", sell_shares)                                   \
    X(0x9b1750ad2e4a17ef, "ResolveMarket", resolve_market)                             \
    X(0x80f2a0172c3dab25, "InitiateDispute", initiate_dispute)                         \
    X(0x10e1261cd5d901f7, "FinalizeMarket", finalize_market)                           \
    X(0xa1d7183b0eecf2dd, "ClaimWinnings", claim_winnings)                             \
    X(0x959e21b92ff3fd1f, "WithdrawLiquidity", withdraw_liquidity)

#define HANDLER(discriminator, name, handler) Result handler(Context *context);
INSTRUCTIONS(HANDLER)
#undef HANDLER
