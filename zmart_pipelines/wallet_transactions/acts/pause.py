"""Pausing the protocol, and ending the pause."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.wallet_transactions.act import Act, Subject
from zmart_pipelines.wallet_transactions.administration import admin_refusal
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Reason, Refusal


class Pause(Act, frozen=True, kw_only=True):
    """Pause the protocol (`paused` true) or end the pause; only the admin may.

    A pause stops the creation of markets and trading, and nothing else.
    """

    NAME: ClassVar[str] = "pause"
    SUBJECT: ClassVar[Subject] = "protocol"

    paused: bool

    def instruction(self, view: ChainView) -> Instruction:
        """Return emergency_pause, which is a toggle."""
        return instructions.emergency_pause(view.program, admin=view.wallet)

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse other wallets, and the state that the protocol is in: a toggle reverses it."""
        refusal = admin_refusal(view)
        if refusal is None and view.config.is_paused == self.paused:
            state = "paused" if self.paused else "not paused"
            return Refusal(
                reason=Reason.NO_CHANGE,
                message=f"The protocol is {state} already; the instruction is a toggle and would"
                " reverse that.",
                remedy="",
            )
        return refusal

    def effects(self, view: ChainView) -> Effects:
        """Return the configuration with the toggle thrown."""
        change = "Pauses the protocol" if self.paused else "Ends the pause"
        return Effects(
            sentences=(
                (
                    f"{change}: creating markets and trading {'stop' if self.paused else 'go on'};"
                    " everything else is not concerned."
                ),
                "Send it once: a second toggle reverses it, also one that was prepared separately.",
            ),
            config=msgspec.structs.replace(view.config, is_paused=not view.config.is_paused),
        )
