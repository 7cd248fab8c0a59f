"""What only the chain knows: where it stands, and what our wallets hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import Metric
from solders.pubkey import Pubkey

from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.health.chain_tips import ChainTips
from zmart_pipelines.metrics.families import gauge, gauges
from zmart_pipelines.settings import Settings


def read_chain(rpc: RpcClient, settings: Settings, tips: ChainTips) -> Iterator[Metric]:
    """Yield slots, the clock's offset, and the balances of the wallets that sign.

    Raises:
        RpcUnavailable, RpcError, RateLimited: The chain cannot be read.
    """
    yield gauges(
        "zmart_chain_slot",
        "Newest slot of the cluster, by commitment.",
        ("commitment",),
        ((("confirmed",), tips.confirmed), (("finalized",), tips.finalized)),
    )
    yield gauge(
        "zmart_chain_clock_offset_seconds",
        "The chain's finalized clock minus this machine's.",
        tips.clock_offset,
    )
    yield gauges(
        "zmart_wallet_balance_lamports",
        "Balance of a wallet whose transactions the backend signs.",
        ("wallet",),
        (
            ((name,), rpc.balance(address, "confirmed").value)
            for name, address in _wallets(rpc, settings).items()
        ),
    )
    yield gauge(
        "zmart_wallet_min_balance_lamports",
        "Balance below which a key signs nothing new (MIN_BALANCE_LAMPORTS).",
        settings.min_balance_lamports,
    )


def _wallets(rpc: RpcClient, settings: Settings) -> Mapping[str, Pubkey]:
    """Return the authorities that the program names; none before it is initialized."""
    try:
        config = AccountReader(rpc, settings.program).config("confirmed").value
    except AccountMissing:
        return {}
    return {
        "backend_authority": Pubkey(config.backend_authority),
        "admin": Pubkey(config.admin),
    }
