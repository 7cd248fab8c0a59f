"""What the chain says of a signed transaction before it is stored: would it succeed, until when?"""

from __future__ import annotations

from typing import Any, Final

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.relay.nodes import ALREADY_PROCESSED

# A blockhash is valid for so many blocks after its own (``MAX_PROCESSING_AGE``).
VALID_BLOCKS: Final = 150


class WouldFail(Exception):
    """The chain would refuse the transaction now.

    Attributes:
        error: As in the cluster's JSON.
    """

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


def last_valid_height(rpc: RpcClient, transaction: bytes) -> int:
    """Simulate a signed transaction; return the last block height at which it may land, or later.

    The blockhash is known to the state in which the simulation ran, and so at most as young as
    that. No node tells how old it is: the height returned may be up to ``VALID_BLOCKS`` too high,
    never too low.

    Raises:
        WouldFail: It would fail, or its blockhash is not valid. One that the chain has executed
            already is accepted.
        RpcError: The nodes refuse the call.
        RpcUnavailable: No node answers.
    """
    simulated = rpc.simulate(transaction, verify_signatures=True)
    if simulated.error is not None and simulated.error != ALREADY_PROCESSED:
        raise WouldFail(simulated.error)
    reached = next(rpc.heights("confirmed", min_context_slot=simulated.slot))
    return reached.height + VALID_BLOCKS
