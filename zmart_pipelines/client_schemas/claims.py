"""A wallet's claims as clients read them: those that are due, and those that were paid."""

from __future__ import annotations

from typing import Literal

from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.store.queries import positions, wallet_activity


class Claim(formats.ExactIntegers, frozen=True, kw_only=True):
    """A claim that is due, or one that was paid; amounts in lamports.

    `amount` is what the payout formula gives, or what was paid. `claimable` is what the program
    would pay now: 0 for a claim that was paid, and where `claim_refusal` names the error with which
    it would refuse. `outcome` is null for an invalid market, which refunds what was invested.
    """

    market_id: str
    on_chain_address: str
    question: str
    status: Literal["due", "done"]
    outcome: bool | None
    amount: formats.LargeInt
    claimable: formats.LargeInt
    claim_refusal: str | None
    claimed_at: str | None
    tx_signature: str | None
    commitment: str


def due_claim(row: positions.Position, refusal: ProgramError | None) -> Claim:
    """Return the claim of a position that the payout formula gives something.

    Args:
        row: The position, in a finalized market.
        refusal: The error with which the program would refuse the claim now; None: it pays.
    """
    amount = row.payout(row.final_outcome)
    return Claim(
        market_id=row.market_id.hex(),
        on_chain_address=formats.base58_key(row.market_address),
        question=row.question,
        status="due",
        outcome=row.final_outcome,
        amount=amount,
        claimable=amount if refusal is None else 0,
        claim_refusal=None if refusal is None else refusal.name,
        claimed_at=None,
        tx_signature=None,
        commitment=row.commitment,
    )


def paid_claim(row: wallet_activity.PaidClaim) -> Claim:
    """Return a claim that was paid."""
    return Claim(
        market_id=row.market_id.hex(),
        on_chain_address=formats.base58_key(row.market_address),
        question=row.question,
        status="done",
        outcome=row.outcome,
        amount=row.amount,
        claimable=0,
        claim_refusal=None,
        claimed_at=formats.chain_time(row.claimed_at),
        tx_signature=formats.base58_signature(row.signature),
        commitment=row.commitment,
    )
