"""Whether a simulation had the effects that were computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, UserPosition, decode_as
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, Holdings, MarketFigures


def accounts_to_compare(view: ChainView, effects: Effects) -> list[Pubkey]:
    """Return the addresses of the accounts that the effects describe, the wallet's first."""
    keys = [view.wallet]
    if effects.market is not None:
        keys.append(view.market_address)
    if effects.holdings is not None:
        keys.append(view.position_address)
    if effects.config is not None:
        keys.append(view.config_address)
    return keys


def differences(
    view: ChainView,
    effects: Effects,
    fee: int,
    balances: Mapping[Pubkey, int],
    data: Mapping[Pubkey, bytes],
) -> Iterator[str]:
    """Yield what a simulation did otherwise than the effects say.

    Args:
        view: The chain before it.
        effects: As computed from the view.
        fee: That the network charged in the simulation, in lamports.
        balances: Lamports after it, by address; of accounts that do not exist, none.
        data: The accounts' bytes after it, by address.
    """
    for key in accounts_to_compare(view, effects):
        expected = view.balance(key) + effects.received(key) - effects.sent(key)
        if key == view.wallet:
            expected -= fee
        if balances.get(key, 0) != expected:
            yield f"{key} has {balances.get(key, 0)} lamports, not {expected}"
    if effects.market is not None:
        market = decode_as(MarketAccount, data[view.market_address])
        if MarketFigures.of(market) != effects.market:
            yield f"the market is {MarketFigures.of(market)}, not {effects.market}"
    if effects.holdings is not None:
        position = decode_as(UserPosition, data[view.position_address])
        if Holdings.of(position) != effects.holdings:
            yield f"the position is {Holdings.of(position)}, not {effects.holdings}"
    if effects.config is not None:
        config = decode_as(GlobalConfig, data[view.config_address])
        if config != effects.config:
            yield f"the configuration is {config}, not {effects.config}"
