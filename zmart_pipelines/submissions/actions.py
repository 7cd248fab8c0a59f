"""The instructions of an intent's transaction: action and memo. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.program import instructions as program
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import MEMO_PROGRAM
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.voting.bundle import MEMO_PREFIX


def instruction(
    action: Action,
    arguments: Mapping[str, Any],
    market_id: bytes,
    *,
    program_id: Pubkey,
    authority: Pubkey,
) -> Instruction:
    """Return the program's instruction.

    Args:
        action: The action.
        arguments: As for :func:`verdicts.account_verdict`.
        market_id: The market.
        program_id: The program.
        authority: The key that signs the action.
    """
    market = market_address(program_id, market_id)[0]
    match action:
        case "aggregate_proposal_votes":
            return program.aggregate_proposal_votes(
                program_id,
                backend_authority=authority,
                market=market,
                likes=arguments["likes"],
                dislikes=arguments["dislikes"],
            )
        case "approve_proposal":
            return program.approve_proposal(program_id, admin=authority, market=market)
        case "activate_market":
            return program.activate_market(program_id, authority=authority, market=market)
        case "resolve_market":
            return program.resolve_market(
                program_id,
                resolver=authority,
                market=market,
                outcome=arguments["outcome"],
                evidence_hash=arguments["evidence_cid"].encode(),
            )
        case "finalize_market":
            return program.finalize_market(
                program_id,
                backend_authority=authority,
                market=market,
                dispute_agree=arguments.get("agree"),
                dispute_disagree=arguments.get("disagree"),
            )


def memo(bundle_cid: str) -> Instruction:
    """Return the SPL Memo that names the bundle of the submitted counts."""
    return Instruction(MEMO_PROGRAM, f"{MEMO_PREFIX}{bundle_cid}".encode(), [])
