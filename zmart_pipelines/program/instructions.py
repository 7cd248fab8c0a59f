"""One builder for each of the 18 instructions.

Builders take the program, the accounts a caller must know, and the arguments; they fill in
derived and fixed accounts. Order and flags of the accounts are the IDL's. ``market`` is always
the account's address; EncodeError names an argument that does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.program import calls, idl
from zmart_pipelines.program.accounts import VoteKind
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.calls import Call, encode_call

_ACCOUNTS: Final = {
    instruction.name: tuple(
        (
            account.name,
            account.signer,
            account.writable,
            None if account.address is None else Pubkey.from_string(account.address),
        )
        for account in instruction.accounts
    )
    for instruction in idl.load().instructions
}


def _instruction(program: Pubkey, call: Call, accounts: Mapping[str, Pubkey]) -> Instruction:
    """Return the call with its accounts, given by IDL name; config and fixed ones are added."""
    metas = []
    for name, signer, writable, fixed in _ACCOUNTS[call.name]:
        key = fixed
        if key is None:
            key = config_address(program)[0] if name == "global_config" else accounts[name]
        metas.append(AccountMeta(key, is_signer=signer, is_writable=writable))
    return Instruction(program, encode_call(call), metas)


def initialize_global_config(
    program: Pubkey, *, admin: Pubkey, backend_authority: Pubkey, protocol_fee_wallet: Pubkey
) -> Instruction:
    """Create the configuration, once per program; signed by the future admin."""
    return _instruction(
        program,
        calls.InitializeGlobalConfig(bytes(backend_authority)),
        {"admin": admin, "protocol_fee_wallet": protocol_fee_wallet},
    )


def update_global_config(
    program: Pubkey,
    *,
    admin: Pubkey,
    protocol_fee_bps: int,
    resolver_reward_bps: int,
    liquidity_provider_fee_bps: int,
    proposal_approval_threshold: int,
    dispute_success_threshold: int,
    min_resolution_delay: int | None = None,
    dispute_period: int | None = None,
) -> Instruction:
    """Set the five basis-point values, and the times (seconds) if given; signed by the admin."""
    call = calls.UpdateGlobalConfig(
        protocol_fee_bps,
        resolver_reward_bps,
        liquidity_provider_fee_bps,
        proposal_approval_threshold,
        dispute_success_threshold,
        min_resolution_delay,
        dispute_period,
    )
    return _instruction(program, call, {"admin": admin})


def emergency_pause(program: Pubkey, *, admin: Pubkey) -> Instruction:
    """Toggle the pause (sending it twice undoes it); signed by the admin."""
    return _instruction(program, calls.EmergencyPause(), {"admin": admin})


def create_market(
    program: Pubkey,
    *,
    creator: Pubkey,
    market_id: bytes,
    b_parameter: int,
    initial_liquidity: int,
    question_hash: bytes,
) -> Instruction:
    """Propose a market; signed by the creator.

    ``b`` has 9 decimals, the virtual liquidity is in lamports, and the question's CIDv0 is 46
    ASCII bytes.
    """
    return _instruction(
        program,
        calls.CreateMarket(market_id, b_parameter, initial_liquidity, question_hash),
        {"creator": creator, "market": market_address(program, market_id)[0]},
    )


def submit_proposal_vote(
    program: Pubkey, *, user: Pubkey, market: Pubkey, vote: bool
) -> Instruction:
    """Vote on chain on a proposal (True: like); signed by the user, once per market."""
    record = vote_address(program, market, user, VoteKind.PROPOSAL)[0]
    return _instruction(
        program,
        calls.SubmitProposalVote(vote),
        {"market": market, "vote_record": record, "user": user},
    )


def aggregate_proposal_votes(
    program: Pubkey, *, backend_authority: Pubkey, market: Pubkey, likes: int, dislikes: int
) -> Instruction:
    """Write a proposal's counts; signed by the backend authority. The market stays Proposed."""
    return _instruction(
        program,
        calls.AggregateProposalVotes(likes, dislikes),
        {"market": market, "backend_authority": backend_authority},
    )


def approve_proposal(program: Pubkey, *, admin: Pubkey, market: Pubkey) -> Instruction:
    """Approve a proposal whose written counts reach the threshold; signed by the admin."""
    return _instruction(program, calls.ApproveProposal(), {"admin": admin, "market": market})


def activate_market(program: Pubkey, *, authority: Pubkey, market: Pubkey) -> Instruction:
    """Open trading; signed by the admin or the market's creator."""
    return _instruction(program, calls.ActivateMarket(), {"authority": authority, "market": market})


def cancel_market(program: Pubkey, *, admin: Pubkey, market: Pubkey) -> Instruction:
    """Cancel a proposed or approved market; signed by the admin."""
    return _instruction(program, calls.CancelMarket(), {"admin": admin, "market": market})


def _trade(
    program: Pubkey, call: Call, user: Pubkey, market: Pubkey, fee_wallet: Pubkey
) -> Instruction:
    return _instruction(
        program,
        call,
        {
            "market": market,
            "position": position_address(program, market, user)[0],
            "user": user,
            "protocol_fee_wallet": fee_wallet,
        },
    )


def buy_shares(
    program: Pubkey,
    *,
    user: Pubkey,
    market: Pubkey,
    protocol_fee_wallet: Pubkey,
    outcome: bool,
    target_cost: int,
) -> Instruction:
    """Buy YES (True) or NO for at most ``target_cost`` lamports; signed by the user."""
    call = calls.BuyShares(outcome, target_cost)
    return _trade(program, call, user, market, protocol_fee_wallet)


def sell_shares(
    program: Pubkey,
    *,
    user: Pubkey,
    market: Pubkey,
    protocol_fee_wallet: Pubkey,
    outcome: bool,
    shares: int,
    min_proceeds: int,
) -> Instruction:
    """Sell shares for at least ``min_proceeds`` lamports; signed by the user.

    The deployed program always refuses this; simulate before offering it.
    """
    call = calls.SellShares(outcome, shares, min_proceeds)
    return _trade(program, call, user, market, protocol_fee_wallet)


def resolve_market(
    program: Pubkey, *, resolver: Pubkey, market: Pubkey, outcome: bool, evidence_hash: bytes
) -> Instruction:
    """Propose the outcome, with the evidence's CIDv0 as 46 ASCII bytes; signed by anyone."""
    return _instruction(
        program,
        calls.ResolveMarket(outcome, evidence_hash),
        {"market": market, "resolver": resolver},
    )


def initiate_dispute(program: Pubkey, *, initiator: Pubkey, market: Pubkey) -> Instruction:
    """Dispute the proposed outcome inside its window; signed by anyone."""
    return _instruction(
        program, calls.InitiateDispute(), {"market": market, "initiator": initiator}
    )


def submit_dispute_vote(
    program: Pubkey, *, user: Pubkey, market: Pubkey, vote: bool
) -> Instruction:
    """Vote on chain on a dispute (True: the outcome is wrong); at most once per market."""
    record = vote_address(program, market, user, VoteKind.DISPUTE)[0]
    return _instruction(
        program,
        calls.SubmitDisputeVote(vote),
        {"market": market, "vote_record": record, "user": user},
    )


def aggregate_dispute_votes(
    program: Pubkey, *, backend_authority: Pubkey, market: Pubkey, agrees: int, disagrees: int
) -> Instruction:
    """End a dispute without reversing the outcome, for tests and simulation.

    The signer refuses it; disputes are ended with ``finalize_market``.
    """
    return _instruction(
        program,
        calls.AggregateDisputeVotes(agrees, disagrees),
        {"market": market, "backend_authority": backend_authority},
    )


def finalize_market(
    program: Pubkey,
    *,
    backend_authority: Pubkey,
    market: Pubkey,
    dispute_agree: int | None = None,
    dispute_disagree: int | None = None,
) -> Instruction:
    """Make the outcome final; both counts for a disputed market, neither otherwise."""
    return _instruction(
        program,
        calls.FinalizeMarket(dispute_agree, dispute_disagree),
        {"market": market, "backend_authority": backend_authority},
    )


def claim_winnings(
    program: Pubkey, *, user: Pubkey, market: Pubkey, resolver: Pubkey
) -> Instruction:
    """Pay out the user's position; ``resolver`` is the market's, paid by the first claim."""
    return _instruction(
        program,
        calls.ClaimWinnings(),
        {
            "market": market,
            "position": position_address(program, market, user)[0],
            "user": user,
            "resolver": resolver,
        },
    )


def withdraw_liquidity(program: Pubkey, *, creator: Pubkey, market: Pubkey) -> Instruction:
    """Pay the market's balance above its rent to the creator, who signs."""
    return _instruction(program, calls.WithdrawLiquidity(), {"market": market, "creator": creator})
