"""The instructions of an intent's transaction: action, memo and compute budget. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.program import instructions as program
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import MEMO_PROGRAM
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.voting.bundle import MEMO_PREFIX

BASE_FEE = 5_000
MIN_COMPUTE_UNITS = 20_000
MIN_UNIT_PRICE = 1_000


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


def with_budget(
    body: list[Instruction], *, units: int | None = None, unit_price: int | None = None
) -> list[Instruction]:
    """Prepend a compute limit and a unit price in micro-lamports, if given."""
    budget = []
    if units is not None:
        budget.append(set_compute_unit_limit(units))
    if unit_price is not None:
        budget.append(set_compute_unit_price(unit_price))
    return budget + body


def compute_limit(used: int) -> int:
    """Return the compute limit for the units a simulation used: 15 % more, at least 20,000."""
    return max(-(-used * 115 // 100), MIN_COMPUTE_UNITS)


def unit_price(recent: list[int], cap: int) -> int:
    """Return the 75th percentile (nearest rank) of recent prices, between 1,000 and ``cap``.

    All in micro-lamports per compute unit.
    """
    ordered = sorted(recent)
    p75 = ordered[-(-len(ordered) * 3 // 4) - 1] if ordered else 0
    return min(max(p75, MIN_UNIT_PRICE), cap)


def fee(units: int, price: int) -> int:
    """Return the fee in lamports of one signature and ``units`` at ``price`` micro-lamports."""
    return BASE_FEE + -(-units * price // 1_000_000)
