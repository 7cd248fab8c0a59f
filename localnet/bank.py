"""The bank: the open slot, the chain of blocks below it, and execution in it."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from solders.clock import Clock
from solders.pubkey import Pubkey

from localnet.accounts import Account, AccountTable, Key, Undo, rent_exempt_minimum
from localnet.address_lookup_tables import resolve
from localnet.blocks import (
    SLOTS_PER_EPOCH,
    STATUS_BLOCKS,
    Block,
    Record,
    next_blockhash,
)
from localnet.transaction_errors import TxError
from localnet.vm import Execution, Vm
from localnet.wire_transaction import WireTransaction
from zmart_pipelines.program.ids import CLOCK_SYSVAR

UNDO_BLOCKS: Final = 64
"""Finalized blocks whose undo logs are kept, for readers that lag behind."""

_CLOCK = bytes(CLOCK_SYSVAR)
_SYSVAR_OWNER = bytes(Pubkey.from_string("Sysvar1111111111111111111111111111111111111"))
_encode = msgspec.json.Encoder().encode


class Status(NamedTuple):
    """The slot and the error of a known transaction."""

    slot: int
    error: TxError | None


class TransactionRefused(Exception):
    """The transaction cannot be included in a block; ``execution`` holds the reason."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(str(execution.error))
        self.execution = execution


class Tip(NamedTuple):
    """The newest slot that a reader sees: the open slot or a closed block."""

    slot: int
    height: int
    unix_time: int


class Bank:
    """The chain's state in memory, used by one thread.

    ``blocks`` are the closed blocks of the current fork, oldest first: enough of them for the
    blockhash window and the status cache. Depths count blocks down from the open slot, which
    is 0; the finalized slot never decreases.
    """

    def __init__(
        self,
        table: AccountTable,
        blocks: list[Block],
        *,
        confirm_depth: int,
        finality_depth: int,
        genesis_time: int,
    ) -> None:
        if not blocks:
            raise ValueError("a bank needs at least one block")
        self.table = table
        self.blocks = blocks
        self.confirm_depth = confirm_depth
        self.finality_depth = finality_depth
        self.genesis_time = genesis_time
        self.hold_finality = False
        self.finalized = blocks[0]
        self.vm = Vm(table)
        self.hashes: dict[bytes, Block] = {block.blockhash: block for block in blocks}
        self.statuses: dict[bytes, Status] = {}
        self.records: list[Record] = []
        self.slot = blocks[-1].slot
        self.unix_time = blocks[-1].unix_time

    # The chain

    @property
    def height(self) -> int:
        """The block height that the open slot will have."""
        return self.blocks[-1].height + 1

    @property
    def confirmed(self) -> Block:
        """The newest confirmed block."""
        return self.blocks[-min(self.confirm_depth, len(self.blocks))]

    @property
    def tip(self) -> Tip:
        """The open slot."""
        return Tip(self.slot, self.height, self.unix_time)

    def open(self, slot: int, unix_time: int) -> None:
        """Start a slot on top of the newest block."""
        self.slot, self.unix_time = slot, unix_time
        self.records = []
        self.table.begin(slot)
        self.vm.set_clock(self._clock(slot))
        self.vm.set_slot_hashes([(block.slot, block.blockhash) for block in reversed(self.blocks)])

    @property
    def undo_floor(self) -> int:
        """The newest slot whose undo log is not kept."""
        index = bisect_right(self.blocks, self.finalized.slot, key=lambda block: block.slot)
        return self.blocks[max(0, index - 1 - UNDO_BLOCKS)].slot

    def close(self) -> Block:
        """Close the open slot and return its block; the caller opens the next slot."""
        parent = self.blocks[-1]
        signatures = [record.signature for record in self.records]
        block = Block(
            slot=self.slot,
            parent=parent.slot,
            height=parent.height + 1,
            blockhash=next_blockhash(parent.blockhash, self.slot, signatures),
            parent_hash=parent.blockhash,
            unix_time=self.unix_time,
            total=parent.total + len(signatures),
            changed=list(self.table.changed(self.slot)),
            signatures=signatures,
            records=self.records,
        )
        self.records = []
        self.blocks.append(block)
        self.hashes[block.blockhash] = block
        if not self.hold_finality and len(self.blocks) >= self.finality_depth:
            target = self.blocks[-self.finality_depth]
            if target.slot > self.finalized.slot:
                self.finalized = target
        return block

    def rollback(self, slot: int) -> list[Block]:
        """Drop the open slot and every block after ``slot``; the caller opens a new slot.

        Return the dropped blocks, oldest first.

        Raises:
            ValueError: a finalized slot would be dropped.
        """
        if slot < self.finalized.slot:
            raise ValueError(f"slot {slot} is below the finalized slot {self.finalized.slot}")
        dropped: list[Block] = []
        for record in self.records:
            self.statuses.pop(record.signature, None)
        self.records = []
        while self.blocks[-1].slot > slot:
            block = self.blocks.pop()
            del self.hashes[block.blockhash]
            for signature in block.signatures:
                self.statuses.pop(signature, None)
            dropped.append(block)
        self.vm.reload(self.table.rollback(slot))
        return dropped[::-1]

    def prune(self) -> None:
        """Delete what neither a fork nor the blockhash window can need any more."""
        self.table.prune(self.undo_floor)
        while len(self.blocks) > STATUS_BLOCKS + 1 and self.blocks[0].slot < self.finalized.slot:
            block = self.blocks.pop(0)
            del self.hashes[block.blockhash]
            for signature in block.signatures:
                self.statuses.pop(signature, None)

    # Accounts

    def account(self, key: Key, slot: int) -> Account | None:
        """Return an account as of a slot that is finalized or newer."""
        if key == _CLOCK:
            return self._clock_account(slot)
        found = self.table.at(key, slot)
        if found is None and key not in self.table.current:
            return self.vm.get(key)
        return found

    def _clock_account(self, slot: int) -> Account:
        return Account(rent_exempt_minimum(40), _SYSVAR_OWNER, bytes(self._clock(slot)))

    def _clock(self, slot: int) -> Clock:
        unix_time = self.unix_time
        if slot < self.slot:
            block = next(block for block in reversed(self.blocks) if block.slot <= slot)
            slot, unix_time = block.slot, block.unix_time
        epoch = slot // SLOTS_PER_EPOCH
        return Clock(slot, self.genesis_time, epoch, epoch + 1, unix_time)

    # Transactions

    def blockhash_valid(self, blockhash: bytes, tip: Tip) -> bool:
        """Return whether a bank at this tip knows the hash and the hash has not expired."""
        block = self.hashes.get(blockhash)
        return (
            block is not None and block.slot <= tip.slot and tip.height <= block.last_valid_height
        )

    def execute(self, tx: WireTransaction, *, land_failures: bool = True) -> Record:
        """Execute a transaction, whose signatures the caller has checked, in the open slot.

        Raises:
            TransactionRefused: it cannot be included in the slot, or it fails and
                ``land_failures`` is False.
        """
        refused: TxError | None = None
        if tx.signature in self.statuses:
            refused = "AlreadyProcessed"
        elif not self.blockhash_valid(tx.blockhash, self.tip):
            refused = "BlockhashNotFound"
        else:
            refused = resolve(tx, self.table.get, self.slot)
        if refused is not None:
            raise TransactionRefused(Execution(refused, landed=False))
        done = self.vm.run(tx, land_failures=land_failures)
        if not done.landed:
            raise TransactionRefused(done)
        record = Record(
            signature=tx.signature,
            wire=tx.wire,
            keys=tx.keys,
            error=done.error,
            logs=done.logs,
            meta=msgspec.Raw(_encode(_meta(done, tx))),
            inner=done.inner,
        )
        self.records.append(record)
        self.statuses[tx.signature] = Status(self.slot, done.error)
        return record

    def simulate(self, tx: WireTransaction, tip: Tip, *, check_blockhash: bool = True) -> Execution:
        """Execute a transaction on the state of a tip, without changing anything."""
        if check_blockhash:
            if tx.signature in self.statuses and self.statuses[tx.signature].slot <= tip.slot:
                return Execution("AlreadyProcessed", landed=False)
            if not self.blockhash_valid(tx.blockhash, tip):
                return Execution("BlockhashNotFound", landed=False)
        unresolved = resolve(tx, lambda key: self.table.at(key, tip.slot), tip.slot)
        if unresolved is not None:
            return Execution(unresolved, landed=False)
        versions: dict[Key, Account | None] = {}
        clock: Clock | None = None
        if tip.slot < self.slot:
            clock = self._clock(tip.slot)
            for key in tx.keys:
                version = self.table.at(key, tip.slot)
                if version is not self.table.get(key):
                    versions[key] = version
        return self.vm.simulate(tx, versions, clock)

    def restore_statuses(self, rows: Iterable[tuple[bytes, int, TxError | None]]) -> None:
        """Fill the cache of statuses, which also detects replays, after a restart."""
        self.statuses.update((signature, Status(slot, error)) for signature, slot, error in rows)

    def changes(self, slot: int) -> Undo:
        """Return the accounts that a recent slot wrote, with their previous versions."""
        return self.table.changed(slot)


def _meta(done: Execution, tx: WireTransaction) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "err": done.error,
        "status": {"Ok": None} if done.error is None else {"Err": done.error},
        "fee": tx.fee,
        "preBalances": done.before,
        "postBalances": done.after,
        "innerInstructions": done.inner,
        "logMessages": done.logs,
        "preTokenBalances": [],
        "postTokenBalances": [],
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(Pubkey.from_bytes(key)) for key in tx.loaded[0]],
            "readonly": [str(Pubkey.from_bytes(key)) for key in tx.loaded[1]],
        },
        "computeUnitsConsumed": done.units,
    }
    if done.returned is not None:
        meta["returnData"] = returned_data(done)
    return meta


def returned_data(done: Execution) -> dict[str, Any] | None:
    """Return the execution's return data in the RPC's JSON form, None where it set none."""
    if done.returned is None:
        return None
    program, data = done.returned
    return {
        "programId": str(Pubkey.from_bytes(program)),
        "data": [base64.b64encode(data).decode(), "base64"],
    }
