"""Views of the chain as nodes of a cluster have them, some blocks behind.

All reads of the RPC go through a view. The node's own view does not lag; the others stand for
nodes of a pool that are some blocks behind.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from localnet.bank import UNDO_BLOCKS, Bank, Status, Tip
from localnet.blocks import Block, Commitment

MAX_LAG: Final = UNDO_BLOCKS


class ChainView:
    """The chain as known ``lag`` blocks ago."""

    def __init__(self, bank: Bank, lag: int = 0) -> None:
        if not 0 <= lag <= MAX_LAG:
            raise ValueError(f"lag: must be between 0 and {MAX_LAG} blocks")
        self.bank = bank
        self.lag = lag

    def _block(self, depth: int) -> Block:
        blocks = self.bank.blocks
        return blocks[-min(depth, len(blocks))]

    @property
    def confirmed(self) -> Block:
        """The newest confirmed block."""
        return self._block(self.bank.confirm_depth + self.lag)

    @property
    def finalized(self) -> Block:
        """The newest finalized block."""
        blocks = self.bank.blocks
        if not self.lag:
            return self.bank.finalized
        index = bisect_right(blocks, self.bank.finalized.slot, key=_slot) - 1
        return blocks[max(0, index - self.lag)]

    def latest_block(self, commitment: Commitment) -> Block:
        """Return the block whose hash transactions should use at a commitment."""
        if commitment is Commitment.PROCESSED:
            return self._block(max(1, self.lag))
        return self.confirmed if commitment is Commitment.CONFIRMED else self.finalized

    def tip(self, commitment: Commitment) -> Tip:
        """Return slot, height and time of the newest bank at a commitment."""
        if commitment is Commitment.PROCESSED and not self.lag:
            return self.bank.tip
        block = self.latest_block(commitment)
        return Tip(block.slot, block.height, block.unix_time)

    def level(self, slot: int) -> Commitment:
        """Return the commitment of a slot."""
        if slot <= self.finalized.slot:
            return Commitment.FINALIZED
        return Commitment.CONFIRMED if slot <= self.confirmed.slot else Commitment.PROCESSED

    def depth(self, slot: int) -> int:
        """Return the number of blocks on top of a slot, the newest one included."""
        newest = self.tip(Commitment.PROCESSED)
        blocks = self.bank.blocks
        index = bisect_right(blocks, slot, key=_slot) - 1
        return newest.height - blocks[index].height if slot < newest.slot else 0

    def status(self, signature: bytes) -> Status | None:
        """Return the status of a recent transaction, None when this node has not seen it."""
        status = self.bank.statuses.get(signature)
        if status is not None and status.slot > self.tip(Commitment.PROCESSED).slot:
            return None
        return status


def _slot(block: Block) -> int:
    return block.slot
