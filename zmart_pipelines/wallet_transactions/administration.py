"""What acts of the admin have in common."""

from __future__ import annotations

from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program


def admin_refusal(view: ChainView) -> Refusal | None:
    """Return the refusal of every wallet but the admin's."""
    if bytes(view.wallet) == view.config.admin:
        return None
    return by_program(ProgramError.Unauthorized, "Only the protocol's admin may do this.")
