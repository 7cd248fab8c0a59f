"""An RPC client for long reads: so many calls a second, and patience when an endpoint asks.

The budget belongs to the client and is shared by the threads that use it, so that a backfill
leaves the rest of the endpoint's limit to the polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from zmart_pipelines.chain.guard import Guard
from zmart_pipelines.chain.rpc import RpcClient

# How long 429 may hold up one read before the reader gives up; what it read is kept.
PATIENCE: Final = 900.0


class BudgetedRpc(RpcClient):
    """Nodes that are each asked at most ``calls_per_second`` times a second, repeats included.

    A 429 holds up all threads for as long as it says.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        timeout: float,
        *,
        calls_per_second: float,
        patience: float = PATIENCE,
        guard: Guard | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timeout`` in seconds for each try, ``patience`` in seconds for each read."""
        super().__init__(
            urls,
            timeout,
            patience=patience,
            calls_per_second=calls_per_second,
            guard=guard,
            sleep=sleep,
            clock=clock,
        )
