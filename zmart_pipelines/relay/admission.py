"""What the chain says of a signed transaction before it is stored: would it succeed, until when?"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import BlockHeight
from zmart_pipelines.relay.nodes import ALREADY_PROCESSED

# A blockhash is valid for so many blocks after its own (``MAX_PROCESSING_AGE``).
VALID_BLOCKS: Final = 150
# For which a height is kept: the transactions of one slot share it.
SLOT_SECONDS: Final = 0.4


class WouldFail(Exception):
    """The chain would refuse the transaction now.

    Attributes:
        error: As in the cluster's JSON.
    """

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


class Admission:
    """Asks the nodes about signed transactions that are handed in; usable from several threads."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._reached = BlockHeight(slot=-1, height=0)
        self._reached_until = 0.0
        self._asking = threading.Lock()

    def last_valid_height(self, transaction: bytes) -> int:
        """Simulate a signed transaction; return the last block height at which it may land.

        The blockhash is known to the state in which the simulation ran, and so at most as young
        as that. No node tells how old it is: the height returned may be some ``VALID_BLOCKS`` too
        high, never too low.

        Raises:
            WouldFail: It would fail, or its blockhash is not valid. One that the chain has executed
                already is accepted.
            RpcError: The nodes refuse the call.
            RpcUnavailable: No node answers.
        """
        simulated = self._rpc.simulate(transaction, verify_signatures=True)
        if simulated.error is not None and simulated.error != ALREADY_PROCESSED:
            raise WouldFail(simulated.error)
        return self._height_at(simulated.slot) + VALID_BLOCKS

    def _height_at(self, slot: int) -> int:
        """Return the block height of this slot or a later one."""
        with self._asking:  # one asks, and those that waited for it share the answer
            now, reached = time.monotonic(), self._reached
            if reached.slot < slot or now >= self._reached_until:
                reached = next(self._rpc.heights("confirmed", min_context_slot=slot))
                self._reached, self._reached_until = reached, now + SLOT_SECONDS
        return reached.height
