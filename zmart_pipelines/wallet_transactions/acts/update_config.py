"""Changing the protocol's parameters."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import Meta
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import GlobalConfig
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lifecycle import BASIS_POINTS
from zmart_pipelines.program.lmsr import ASSUMED_FEE_BPS, Fees
from zmart_pipelines.wallet_transactions.act import Act, Subject
from zmart_pipelines.wallet_transactions.administration import admin_refusal
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Reason, Refusal, by_program

# Above -1: Litestar leaves a smallest value of 0 out of the description of an optional member.
BasisPoints: TypeAlias = Annotated[int, Meta(gt=-1, le=BASIS_POINTS)]
Seconds: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_TIMES = ("min_resolution_delay", "dispute_period")


def fee_warning(total: int) -> str | None:
    """Return what happens to buys when the fees (basis points) are not what the program assumes."""
    if total == ASSUMED_FEE_BPS:
        return None
    if total == 0:
        effect = "trading stops, because the program divides by them"
    elif total < ASSUMED_FEE_BPS:
        effect = f"buyers spend less than they request, as if the fees were {ASSUMED_FEE_BPS} bps"
    else:
        effect = (
            f"most buys will fail, because the program leaves room for {ASSUMED_FEE_BPS} bps only"
        )
    return f"Warning: the fees add up to {total} bps; {effect}."


class UpdateConfig(Act, frozen=True, kw_only=True):
    """Change parameters of the protocol; only the admin may. What is not given stays as it is.

    Fees and thresholds are basis points, times are seconds. The program rewrites all five basis
    points at once: a change by another transaction in the meantime would be lost.
    """

    NAME: ClassVar[str] = "update-config"
    SUBJECT: ClassVar[Subject] = "protocol"

    protocol_fee_bps: BasisPoints | None = None
    resolver_reward_bps: BasisPoints | None = None
    liquidity_provider_fee_bps: BasisPoints | None = None
    proposal_approval_threshold: BasisPoints | None = None
    dispute_success_threshold: BasisPoints | None = None
    min_resolution_delay: Seconds | None = None
    dispute_period: Seconds | None = None

    def _after(self, view: ChainView) -> GlobalConfig:
        given = {
            name: value for name, value in msgspec.structs.asdict(self).items() if value is not None
        }
        return msgspec.structs.replace(view.config, **given)

    def instruction(self, view: ChainView) -> Instruction:
        """Return update_global_config: all basis points, and the times that change."""
        after = self._after(view)
        times = {
            name: getattr(after, name)
            for name in _TIMES
            if getattr(after, name) != getattr(view.config, name)
        }
        return instructions.update_global_config(
            view.program,
            admin=view.wallet,
            protocol_fee_bps=after.protocol_fee_bps,
            resolver_reward_bps=after.resolver_reward_bps,
            liquidity_provider_fee_bps=after.liquidity_provider_fee_bps,
            proposal_approval_threshold=after.proposal_approval_threshold,
            dispute_success_threshold=after.dispute_success_threshold,
            **times,
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse other wallets, values that are in force, and fees above the whole."""
        refusal = admin_refusal(view)
        if refusal is not None:
            return refusal
        after = self._after(view)
        if after == view.config:
            return Refusal(
                reason=Reason.NO_CHANGE,
                message="No value would change.",
                remedy="Give a value that differs from the one in force.",
            )
        total = Fees.of(after).total_bps
        if total > BASIS_POINTS:
            return by_program(
                ProgramError.InvalidFeeStructure, f"The three fees add up to {total} bps."
            )
        return None

    def effects(self, view: ChainView) -> Effects:
        """Return the configuration after it."""
        after = self._after(view)
        sentences = [
            f"Changes {name} from {getattr(view.config, name)} to {getattr(after, name)}."
            for name in self.__struct_fields__
            if getattr(view.config, name) != getattr(after, name)
        ]
        warning = fee_warning(Fees.of(after).total_bps)
        if warning is not None:
            sentences.append(warning)
        return Effects(sentences=tuple(sentences), config=after)
