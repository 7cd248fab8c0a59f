"""Execution: LiteSVM plus the bank rules that it lacks.

LiteSVM runs the programs. Added here: prioritization fees, rent states, the failures that occur
before a fee can be charged and so never reach a block, and execution against older versions of
accounts. The bank checks signatures and blockhashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from localnet.accounts import (
    SYSTEM,
    Account,
    AccountTable,
    Key,
    from_svm,
    rent_exempt_minimum,
    to_svm,
)
from localnet.transaction_errors import TxError, error_of, insufficient_rent
from localnet.wire_transaction import WireTransaction
from zmart_pipelines import base58

LOG_BYTES: Final = 10_000
_WALLET_MINIMUM: Final = rent_exempt_minimum(0)


class _Returned(Protocol):
    program_id: Pubkey
    data: bytes


class _Metadata(Protocol):
    """The interface of solders' class, whose type stub lacks ``return_data``."""

    def logs(self) -> list[str]: ...
    def compute_units_consumed(self) -> int: ...
    def inner_instructions(self) -> list[list[Any]]: ...
    def return_data(self) -> _Returned: ...


class Execution(msgspec.Struct):
    """The result of executing a transaction.

    ``landed`` is False for failures before a fee could be charged: such a transaction is in no
    block. Balances (lamports) are in the order of the message's accounts; ``inner`` has the
    RPC's JSON form.
    """

    error: TxError | None
    landed: bool
    logs: list[str] = []
    units: int = 0
    inner: list[dict[str, Any]] = []
    returned: tuple[bytes, bytes] | None = None
    before: list[int] = []
    after: list[int] = []
    changed: list[Key] = []
    post: dict[Key, Account | None] = {}


class VmPanic(RuntimeError):
    """The virtual machine panicked; its state is unchanged."""


@contextmanager
def _panics() -> Iterator[None]:
    """Convert a panic of the binding, which is not an Exception, into VmPanic."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise VmPanic(str(error)) from error


class Vm:
    """The virtual machine and its account table, kept in agreement."""

    def __init__(self, table: AccountTable) -> None:
        self.table = table
        # Programs never change, every transaction references some, and copying them is slow.
        self._programs: dict[Key, Account] = {}
        self.svm = (
            LiteSVM()
            .with_sigverify(False)
            .with_blockhash_check(False)
            .with_transaction_history(0)
            .with_log_bytes_limit(LOG_BYTES)
        )
        for key, account in table.current.items():
            self.svm.set_account(Pubkey.from_bytes(key), to_svm(account))

    def add_program(self, program: Pubkey, path: Path) -> None:
        """Load an SBF shared object at an address; ValueError for an invalid file."""
        try:
            with _panics():
                self.svm.add_program(program, path.read_bytes())
            self._programs.pop(bytes(program), None)
        except VmPanic as error:
            raise ValueError(f"{path}: not an SBF program that can be loaded") from error

    def set_clock(self, clock: Clock) -> None:
        """Set the Clock sysvar that programs see."""
        self.svm.set_clock(clock)

    def set_slot_hashes(self, hashes: list[tuple[int, bytes]]) -> None:
        """Set the SlotHashes sysvar, newest slot first."""
        self.svm.set_slot_hashes([(slot, Hash.from_bytes(value)) for slot, value in hashes])

    def get(self, key: Key) -> Account | None:
        """Return an account as of the open slot, built-in programs and sysvars included."""
        found = self.table.get(key) or self._programs.get(key)
        if found is None:
            found = from_svm(self.svm.get_account(Pubkey.from_bytes(key)))
            if found is not None and found.executable:
                self._programs[key] = found
        return found

    def put(self, key: Key, account: Account | None) -> None:
        """Set an account in the open slot, outside of any transaction."""
        self.svm.set_account(Pubkey.from_bytes(key), to_svm(account))
        self.table.write(key, account)

    def reload(self, keys: list[Key]) -> None:
        """Copy accounts from the table into the machine, after slots were reverted."""
        for key in keys:
            self.svm.set_account(Pubkey.from_bytes(key), to_svm(self.table.get(key)))

    def run(self, tx: WireTransaction, *, land_failures: bool = True) -> Execution:
        """Execute in the open slot and keep the changes.

        Without ``land_failures`` a failed transaction is undone and not charged: this combines
        a preflight on the open slot with the execution.
        """
        before = [self.get(key) for key in tx.keys]
        refused = _payer_refused(before[0], tx.fee)
        if refused is not None:
            return Execution(refused, landed=False)
        payer = before[0]
        assert payer is not None  # noqa: S101 - checked by _payer_refused
        result = self._send(tx, payer)
        if isinstance(result, FailedTransactionMetadata):
            error: TxError | None = self._error(tx, result)
            metadata, writable = result.meta(), [0]
            if self.svm.get_balance(tx.pubkeys[0]) == payer.lamports - tx.priority_fee:
                self.svm.set_account(tx.pubkeys[0], to_svm(payer))
                return Execution(error, landed=False, logs=metadata.logs())
        else:
            error, metadata, writable = None, result, tx.writable
        after = self._versions_after(tx, before, writable)
        if error is None:
            error = _rent_violation(before, after, writable)
            if error is not None:
                after = self._charge_only(tx, before, payer, writable)
        if error is not None and not land_failures:
            self.svm.set_account(tx.pubkeys[0], to_svm(payer))
            undone = _execution(error, metadata, before, before, [])
            undone.landed = False
            return undone
        changed = self._write_changes(tx, before, after, writable)
        return _execution(error, metadata, before, after, changed)

    def _send(
        self, tx: WireTransaction, payer: Account
    ) -> TransactionMetadata | FailedTransactionMetadata:
        """Charge the prioritization fee, which LiteSVM ignores, and execute."""
        if tx.priority_fee:
            self._set_lamports(tx.pubkeys[0], payer, payer.lamports - tx.priority_fee)
        with _panics():
            return self.svm.send_transaction(tx.versioned)

    def _versions_after(
        self, tx: WireTransaction, before: list[Account | None], writable: list[int]
    ) -> list[Account | None]:
        after = list(before)
        for index in writable:
            after[index] = from_svm(self.svm.get_account(tx.pubkeys[index]))
        return after

    def _charge_only(
        self,
        tx: WireTransaction,
        before: list[Account | None],
        payer: Account,
        writable: list[int],
    ) -> list[Account | None]:
        """Revert the accounts of a transaction that failed after execution; keep its fee."""
        for index in writable:
            self.svm.set_account(tx.pubkeys[index], to_svm(before[index]))
        self._set_lamports(tx.pubkeys[0], payer, payer.lamports - tx.fee)
        return [from_svm(self.svm.get_account(tx.pubkeys[0])), *before[1:]]

    def _write_changes(
        self,
        tx: WireTransaction,
        before: list[Account | None],
        after: list[Account | None],
        writable: list[int],
    ) -> list[Key]:
        """Write the changed accounts to the table and return their keys."""
        changed = []
        for index in writable:
            if after[index] != before[index]:
                key = tx.keys[index]
                self.table.write(key, after[index])
                changed.append(key)
        return changed

    def simulate(
        self, tx: WireTransaction, versions: dict[Key, Account | None], clock: Clock | None
    ) -> Execution:
        """Execute without keeping changes, with some accounts (and the clock) replaced."""
        now = self.svm.get_clock()
        before = [versions[key] if key in versions else self.get(key) for key in tx.keys]
        refused = _payer_refused(before[0], tx.fee)
        if refused is not None:
            return Execution(refused, landed=False)
        payer = before[0]
        assert payer is not None  # noqa: S101 - checked by _payer_refused
        try:
            for key, account in versions.items():
                self.svm.set_account(Pubkey.from_bytes(key), to_svm(account))
            if clock is not None:
                self.svm.set_clock(clock)
            if tx.priority_fee:
                self._set_lamports(tx.pubkeys[0], payer, payer.lamports - tx.priority_fee)
            with _panics():
                result = self.svm.simulate_transaction(tx.versioned)
        finally:
            self.reload(list(versions))
            if tx.priority_fee:
                self.svm.set_account(tx.pubkeys[0], to_svm(self.get(tx.payer)))
            if clock is not None:
                self.svm.set_clock(now)
        if isinstance(result, FailedTransactionMetadata):
            return _execution(self._error(tx, result), result.meta(), before, before, [])
        post = {bytes(key): from_svm(account) for key, account in result.post_accounts()}
        after = [post.get(key, account) for key, account in zip(tx.keys, before, strict=True)]
        error = _rent_violation(before, after, tx.writable)
        execution = _execution(error, result.meta(), before, after, [])
        execution.post = dict(zip(tx.keys, after, strict=True))
        return execution

    def _error(self, tx: WireTransaction, failed: FailedTransactionMetadata) -> TxError:
        error = error_of(failed)
        if error == "InvalidProgramForExecution":
            programs = {tx.keys[called.program_id_index] for called in tx.message.instructions}
            if any(self.get(program) is None for program in programs):
                return "ProgramAccountNotFound"
        return error

    def _set_lamports(self, address: Pubkey, account: Account, lamports: int) -> None:
        changed = msgspec.structs.replace(account, lamports=lamports)
        self.svm.set_account(address, to_svm(changed if lamports else None))


def _payer_refused(payer: Account | None, fee: int) -> TxError | None:
    """Return why this account cannot pay the fee, as agave's ``validate_fee_payer`` decides."""
    if payer is None:
        return "AccountNotFound"
    if payer.owner != SYSTEM or payer.data:
        return "InvalidAccountForFee"
    rest = payer.lamports - fee
    if rest < 0:
        return "InsufficientFundsForFee"
    if 0 < rest < _WALLET_MINIMUM <= payer.lamports:
        return insufficient_rent(0)
    return None


def _rent_violation(
    before: list[Account | None], after: list[Account | None], writable: list[int]
) -> TxError | None:
    """Return the error for the first account left below its rent-exempt minimum.

    An account that was already below may stay so if it neither grew nor gained lamports.
    """
    for index in writable:
        new, old = after[index], before[index]
        if new is None or new is old:
            continue
        size = len(new.data)
        minimum = rent_exempt_minimum(size)
        if new.lamports >= minimum:
            continue
        if old is not None and len(old.data) == size and new.lamports <= old.lamports < minimum:
            continue
        return insufficient_rent(index)
    return None


def _execution(
    error: TxError | None,
    result: TransactionMetadata,
    before: list[Account | None],
    after: list[Account | None],
    changed: list[Key],
) -> Execution:
    metadata = cast(_Metadata, result)
    returned = metadata.return_data()
    return Execution(
        error,
        landed=True,
        logs=metadata.logs(),
        units=metadata.compute_units_consumed(),
        inner=_inner(metadata.inner_instructions()),
        returned=(bytes(returned.program_id), returned.data) if returned.data else None,
        before=[account.lamports if account else 0 for account in before],
        after=[account.lamports if account else 0 for account in after],
        changed=changed,
    )


def _inner(groups: list[list[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "instructions": [
                {
                    "programIdIndex": (called := inner.instruction()).program_id_index,
                    "accounts": list(called.accounts),
                    "data": base58.encode(called.data),
                    "stackHeight": inner.stack_height(),
                }
                for inner in group
            ],
        }
        for index, group in enumerate(groups)
        if group
    ]
