"""Construction of the RPC client from the settings."""

from __future__ import annotations

import math
from typing import Final

from zmart_pipelines.chain.endpoint_guard import EndpointGuard
from zmart_pipelines.chain.endpoint_pool import ATTEMPTS
from zmart_pipelines.chain.jsonrpc import is_local
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.settings import Settings

# Calls per second that providers' smaller plans allow.
DEFAULT_REMOTE_RATE: Final = 50.0


def connect(
    settings: Settings,
    *,
    guard: EndpointGuard | None = None,
    timeout: float | None = None,
    attempts: int = ATTEMPTS,
    patience: float | None = None,
    calls_per_second: float | None = None,
) -> RpcClient:
    """Return a client of all endpoints in the settings. The caller closes it.

    Args:
        guard: decides which endpoints are skipped; default: none is, for short-lived processes.
        timeout: seconds for each call; default ``rpc_timeout``.
        attempts: rounds over the endpoints for reads.
        patience: seconds that rate limits may delay one read; default: the pool's.
        calls_per_second: limit of each endpoint, calls evenly spaced and retries included;
            default ``rpc_calls_per_second``, in bursts of one second's calls.
    """
    if calls_per_second is not None:
        rate: float | None = calls_per_second
        burst = 1
    else:
        rate = settings.rpc_calls_per_second
        if rate is None and not all(is_local(url) for url in settings.rpc_urls):
            rate = DEFAULT_REMOTE_RATE
        burst = 1 if rate is None else math.ceil(rate)
    return RpcClient(
        settings.rpc_urls,
        settings.rpc_timeout if timeout is None else timeout,
        attempts=attempts,
        patience=patience,
        calls_per_second=rate,
        burst=burst,
        guard=guard,
    )
