"""Where the chain stands, read for health alone: at once or not at all."""

from __future__ import annotations

import time

import msgspec

from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient


class ChainTips(msgspec.Struct, frozen=True):
    """What a node said.

    Attributes:
        confirmed: Its confirmed slot.
        finalized: Its finalized slot.
        clock_offset: The chain's finalized clock minus this machine's, in seconds.
    """

    confirmed: int
    finalized: int
    clock_offset: float


def read_tips(rpc: RpcClient) -> ChainTips:
    """Read both tips and the chain's clock.

    Raises:
        RpcUnavailable, RpcError, RateLimited: The chain cannot be read.
    """
    clock = rpc.chain_clock("finalized")
    seen = time.time()
    return ChainTips(rpc.slot("confirmed"), clock.slot, clock.unix_timestamp - seen)


def read_tips_or_fault(rpc: RpcClient) -> tuple[ChainTips | None, str | None]:
    """Return the tips, or why they cannot be read."""
    try:
        return read_tips(rpc), None
    except (RpcUnavailable, RpcError, RateLimited) as error:
        return None, str(error)
