"""Whether a wallet can pay for an act."""

from __future__ import annotations

from typing import Final

from zmart_pipelines.program.payout import rent_minimum
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_runtime
from zmart_pipelines.wallet_transactions.wording import sol

# The balance below which a wallet may only be empty.
WALLET_MINIMUM: Final = rent_minimum(0)


def funds_refusal(view: ChainView, effects: Effects, fee: int) -> Refusal | None:
    """Return the runtime's reason where the wallet's balance does not suffice; None if it does.

    Payments to the wallet come after its own, so that they do not help it to pay.

    Args:
        view: The chain.
        effects: What the act does.
        fee: Of the network, in lamports.
    """
    balance = view.balance(view.wallet)
    sent = effects.sent(view.wallet)
    left = balance - fee - sent
    shortage = f"The wallet has {sol(balance)} and needs {sol(fee + sent)}"
    if balance == 0:
        return by_runtime("AccountNotFound", f"{shortage}; it does not exist on chain.")
    if balance < fee:
        return by_runtime("InsufficientFundsForFee", f"{shortage}.")
    if left < 0:
        return by_runtime("ResultWithNegativeLamports", f"{shortage}.")
    if 0 < left + effects.received(view.wallet) < WALLET_MINIMUM:
        return by_runtime(
            "InsufficientFundsForRent",
            f"{sol(left)} would be left in the wallet: less than the {sol(WALLET_MINIMUM)} that a"
            " wallet must hold unless it is empty.",
        )
    return None
