"""The node: a bank, its history on disk, its clock, and its listeners.

Everything here runs on one thread, so that the virtual machine needs no lock.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from localnet.accounts import AccountTable
from localnet.bank import Bank, TransactionRefused
from localnet.blocks import STATUS_BLOCKS, Block, Commitment, Record
from localnet.clock import ChainTime
from localnet.faults import Faults
from localnet.genesis import configure, genesis_accounts, genesis_block, signed
from localnet.history import History
from localnet.keys import make_keys, pack_keys, unpack_keys, write_keys
from localnet.options import Options
from localnet.program import PROGRAM_SO
from localnet.scripted_program import SCRIPTED_PROGRAM_ID, SCRIPTED_PROGRAM_SO
from localnet.transaction_errors import TxError, describe
from localnet.wire_transaction import WireTransaction

log = logging.getLogger("localnet")

_BLOCKS_KEPT: Final = STATUS_BLOCKS + 1


class StateInUse(RuntimeError):
    """Another process uses the same state folder."""


class Listener:
    """Receives the node's events; subclasses override the methods they need."""

    def transaction(self, record: Record, slot: int) -> None:
        """Handle a transaction that was executed in the open slot."""

    def slot(self, slot: int, parent: int, root: int) -> None:
        """Handle the opening of a slot."""

    def block(self, block: Block, level: Commitment) -> None:
        """Handle a block that reached a level; blocks come in order, each level once."""

    def rollback(self, dropped: list[Block]) -> None:
        """Handle a fork that dropped these blocks and the open slot."""


class Node:
    """One local chain in its state folder."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.paused = False
        self.faults = Faults()
        self.listeners: list[Listener] = []
        options.state.mkdir(parents=True, exist_ok=True)
        self._lock = _Lock(options.state / "lock")
        self.history = History(options.state / "chain.sqlite")
        if options.snapshot is not None:
            if self.history.recent_blocks(1):
                raise ValueError(
                    f"{options.state} already holds a chain; --snapshot needs an empty folder"
                )
            self.history.restore(options.snapshot)
        self.bank: Bank
        self.keys: dict[str, Keypair]
        self._load()

    def _load(self) -> None:
        """Resume the stored chain, or create one."""
        blocks = self.history.recent_blocks(_BLOCKS_KEPT)
        if blocks:
            self.keys = unpack_keys(self.history.fact("keys") or b"")
            write_keys(self.options.state / "keys", self.keys)
            self._resume(blocks)
        else:
            self.keys = make_keys(self.options.seed)
            write_keys(self.options.state / "keys", self.keys)
            self._create()

    @property
    def genesis_hash(self) -> bytes:
        """The hash of slot 0, which identifies the chain."""
        return self._genesis.blockhash

    def close(self) -> None:
        """Close the open slot and the files."""
        self.tick()
        self.history.close()
        self._lock.close()

    # Start

    def _bank(self, table: AccountTable, blocks: list[Block]) -> Bank:
        options = self.options
        bank = Bank(
            table,
            blocks,
            confirm_depth=options.confirm_depth,
            finality_depth=options.finality_depth,
            genesis_time=self._genesis.unix_time,
        )
        bank.vm.add_program(options.program_id, options.program or PROGRAM_SO)
        bank.vm.add_program(SCRIPTED_PROGRAM_ID, SCRIPTED_PROGRAM_SO)
        return bank

    def _create(self) -> None:
        self.time = ChainTime(self.options, None, None)
        self._genesis = genesis_block(self.options, self.time.unix_time)
        table = AccountTable()
        table.load(genesis_accounts(self.keys).items(), ())
        self.bank = self._bank(table, [self._genesis])
        self.history.insert_genesis(self._genesis, table.current, pack_keys(self.keys))
        self._announced = {Commitment.CONFIRMED: 0, Commitment.FINALIZED: 0}
        self._open(1)
        error = configure(self.options, self.keys, self._run_at_genesis)
        if error is not None:
            log.warning("the program refused its configuration: %s", describe(error))
        for _ in range(self.options.finality_depth):
            self.tick()

    def _run_at_genesis(self, payer: Keypair, instructions: list[Instruction]) -> TxError | None:
        tx = signed(payer, instructions, self.bank.blocks[-1].blockhash)
        try:
            error = self.send(tx).error
        except TransactionRefused as refused:
            error = refused.execution.error
        self.tick()
        return error

    def _resume(self, blocks: list[Block]) -> None:
        genesis = self.history.block(0)
        if genesis is None:
            raise ValueError(f"{self.history.path}: the genesis block is missing")
        self._genesis = genesis
        saved = self.history.clock()
        self.time = ChainTime(self.options, *saved)
        table = AccountTable()
        table.load(self.history.accounts(), self.history.undo_logs())
        self.bank = self._bank(table, blocks)
        root = self.history.finalized()
        self.bank.finalized = next(block for block in blocks if block.slot == root)
        self.bank.restore_statuses(self.history.statuses_from(blocks[0].slot))
        self._announced = {
            Commitment.CONFIRMED: self.bank.confirmed.slot,
            Commitment.FINALIZED: root,
        }
        self._open(blocks[-1].slot + 1)

    # Slots

    def _open(self, slot: int) -> None:
        self.bank.open(slot, self.time.next())
        for listener in self.listeners:
            listener.slot(slot, self.bank.blocks[-1].slot, self.bank.finalized.slot)

    def tick(self) -> None:
        """Close the open slot, store it, open the next one, and announce the block."""
        bank = self.bank
        block = bank.close()
        self.history.append(
            block,
            bank.changes(block.slot),
            bank.table.current,
            bank.finalized.slot,
            bank.undo_floor,
            (self.time.now_ms, self.time.offset_ms),
        )
        bank.prune()
        self._open(block.slot + 1)
        self._announce(block)

    def advance(self, slots: int, seconds: int = 0) -> None:
        """Advance chain time by ``seconds``, then close ``slots`` slots.

        The new time applies to the next slot, so at least one slot is closed for it.
        """
        self.time.jump(seconds)
        for _ in range(max(slots, 1 if seconds else 0)):
            self.tick()

    def finalize(self) -> None:
        """Close slots until everything executed so far is finalized."""
        target = self.bank.slot
        if self.bank.hold_finality:
            raise ValueError("finality is held; release it first")
        while self.bank.finalized.slot < target:
            self.tick()

    def _announce(self, closed: Block) -> None:
        levels = [(Commitment.PROCESSED, [closed])]
        for level, reached in (
            (Commitment.CONFIRMED, self.bank.confirmed.slot),
            (Commitment.FINALIZED, self.bank.finalized.slot),
        ):
            last = self._announced[level]
            levels.append(
                (level, [block for block in self.bank.blocks if last < block.slot <= reached])
            )
            self._announced[level] = max(last, reached)
        for level, blocks in levels:
            for block in blocks:
                for listener in self.listeners:
                    listener.block(block, level)
                if level is Commitment.FINALIZED:
                    block.records = []

    # Transactions

    def send(self, tx: WireTransaction, *, land_failures: bool = True) -> Record:
        """Execute a transaction, whose signatures were checked, in the open slot."""
        record = self.bank.execute(tx, land_failures=land_failures)
        for listener in self.listeners:
            listener.transaction(record, self.bank.slot)
        return record

    def airdrop(self, to: Pubkey, lamports: int) -> bytes:
        """Pay from the faucet by a real transaction and return its signature."""
        faucet = self.keys["faucet"]
        pay = transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=to, lamports=lamports))
        blockhash = self.bank.blocks[-1].blockhash
        tx = signed(faucet, [pay], blockhash)
        units = 1_000
        while tx.signature in self.bank.statuses:
            # Equal payments in one slot would be one transaction; the unit limit differs.
            units += 1
            tx = signed(faucet, [set_compute_unit_limit(units), pay], blockhash)
        return self.send(tx).signature

    # Forks and snapshots

    def restore(self, snapshot: Path) -> None:
        """Replace this chain by that of a snapshot."""
        self.history.restore(snapshot)
        self._load()

    def fork(self, depth: int, keep: Iterable[bytes] | None) -> list[bytes]:
        """Drop the open slot and the ``depth`` blocks below it.

        ``keep`` are the signatures that are executed again in the new slot, in their old
        order; None keeps all. Return the signatures that are lost.
        """
        bank = self.bank
        if not 0 <= depth < len(bank.blocks):
            raise ValueError(f"depth: must be between 0 and {len(bank.blocks) - 1}")
        base = bank.blocks[-1 - depth]
        wires = [
            (stored.signature, stored.wire)
            for block in bank.blocks[len(bank.blocks) - depth :]
            for stored in self.history.block_transactions(block.slot)
        ]
        wires += [(record.signature, record.wire) for record in bank.records]
        slot = bank.slot + 1
        dropped = bank.rollback(base.slot)
        self.history.drop_after(base.slot, bank.table.current)
        for listener in self.listeners:
            listener.rollback(dropped)
        self._open(slot)
        chosen = None if keep is None else set(keep)
        lost = []
        for signature, wire in wires:
            if chosen is None or signature in chosen:
                try:
                    self.send(WireTransaction(wire))
                    continue
                except TransactionRefused as refused:
                    log.info("transaction lost in the fork: %s", refused)
            lost.append(signature)
        return lost


class _Lock:
    """An advisory lock that the system releases when the process dies."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StateInUse(f"{path.parent} is used by another local chain") from error

    def close(self) -> None:
        """Release the lock."""
        self._file.close()
