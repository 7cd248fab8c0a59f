"""The RPC client that the settings describe."""

from __future__ import annotations

import math
from typing import Final

from zmart_pipelines.chain.guard import Guard
from zmart_pipelines.chain.jsonrpc import is_local
from zmart_pipelines.chain.pool import ATTEMPTS
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.settings import Settings

# Calls a second that providers' smaller plans allow.
USUAL_RATE: Final = 50.0


def connect(
    settings: Settings,
    *,
    guard: Guard | None = None,
    timeout: float | None = None,
    attempts: int = ATTEMPTS,
    patience: float | None = None,
) -> RpcClient:
    """All endpoints of the settings. The caller keeps the client and closes it.

    :param guard: which endpoints are left alone; default: none, for what ends soon.
    :param timeout: seconds for each call; default ``rpc_timeout``.
    :param attempts: rounds over the endpoints for reads.
    :param patience: seconds that limits may hold up a read; default: as the pool's.
    """
    rate = settings.rpc_calls_per_second
    if rate is None and not all(is_local(url) for url in settings.rpc_urls):
        rate = USUAL_RATE
    return RpcClient(
        settings.rpc_urls,
        settings.rpc_timeout if timeout is None else timeout,
        attempts=attempts,
        patience=patience,
        calls_per_second=rate,
        burst=1 if rate is None else math.ceil(rate),
        guard=guard,
    )
