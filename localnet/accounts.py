"""Accounts and their recent versions.

The table holds every account as of the open slot and, for each slot that is not finalized, the
previous versions of the accounts that the slot wrote. This undo log serves reads at an older
slot and reverts slots that a fork drops.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec
from solders.account import Account as SvmAccount
from solders.pubkey import Pubkey

Key: TypeAlias = bytes
"""The 32 bytes of an address."""

RENT_EXEMPT_EPOCH: Final = 2**64 - 1
SYSTEM: Final = bytes(32)


class Account(msgspec.Struct, frozen=True, gc=False):
    """One version of an account; ``owner`` is the 32 bytes of the owning program."""

    lamports: int
    owner: bytes
    data: bytes
    executable: bool = False


def from_svm(account: SvmAccount | None) -> Account | None:
    """Convert an account of the virtual machine; an account without lamports becomes None."""
    if account is None:
        return None
    lamports = account.lamports
    if lamports == 0:
        return None
    return Account(lamports, bytes(account.owner), account.data, account.executable)


def to_svm(account: Account | None) -> SvmAccount:
    """Convert an account for the virtual machine; None becomes an empty account."""
    if account is None:
        return SvmAccount(0, b"", Pubkey.default())
    return SvmAccount(
        account.lamports,
        account.data,
        Pubkey.from_bytes(account.owner),
        account.executable,
        RENT_EXEMPT_EPOCH,
    )


def rent_exempt_minimum(size: int) -> int:
    """Return the lamports that exempt an account of ``size`` data bytes from rent."""
    return (128 + size) * 6960


Undo: TypeAlias = dict[Key, Account | None]


class AccountTable:
    """All accounts by address, an index by owner, and the undo log of recent slots."""

    def __init__(self) -> None:
        self.current: dict[Key, Account] = {}
        self._by_owner: dict[bytes, set[Key]] = {}
        self._undo: dict[int, Undo] = {}
        self._open: Undo = {}

    def begin(self, slot: int) -> None:
        """Start recording the changes of a new slot."""
        self._open = {}
        self._undo[slot] = self._open

    def get(self, key: Key) -> Account | None:
        """Return the account as of the open slot."""
        return self.current.get(key)

    def write(self, key: Key, account: Account | None) -> None:
        """Set an account within the open slot; None removes it."""
        before = self.current.get(key)
        if key not in self._open:
            self._open[key] = before
        self._place(key, before, account)

    def at(self, key: Key, slot: int) -> Account | None:
        """Return the account as of the end of a slot that is finalized or newer."""
        found = self.current.get(key)
        for number in reversed(self._undo):
            if number <= slot:
                break
            changed = self._undo[number]
            if key in changed:
                found = changed[key]
        return found

    def owned_by(self, owner: bytes, slot: int) -> list[tuple[Key, Account]]:
        """Return all accounts of a program as of the end of a slot, ordered by address."""
        older: Undo = {}
        for number in reversed(self._undo):
            if number <= slot:
                break
            older.update(self._undo[number])
        keys = self._by_owner.get(owner, set())
        rows = [(key, self.current[key]) for key in keys if key not in older]
        rows += [
            (key, account)
            for key, account in older.items()
            if account is not None and account.owner == owner
        ]
        rows.sort()
        return rows

    def changed(self, slot: int) -> Undo:
        """Return the accounts that a recent slot wrote, with their previous versions."""
        return self._undo[slot]

    def prune(self, slot: int) -> None:
        """Delete the undo logs of all slots up to this one, which can then not be reverted."""
        for number in [n for n in self._undo if n <= slot]:
            del self._undo[number]

    def rollback(self, slot: int) -> list[Key]:
        """Revert every slot after this one and return the accounts that changed by it."""
        touched: dict[Key, None] = {}
        for number in [n for n in reversed(self._undo) if n > slot]:
            for key, before in self._undo.pop(number).items():
                self._place(key, self.current.get(key), before)
                touched[key] = None
        return list(touched)

    def load(
        self, accounts: Iterable[tuple[Key, Account]], undo: Iterable[tuple[int, Undo]]
    ) -> None:
        """Fill an empty table from a stored state, with undo logs in ascending slot order."""
        for key, account in accounts:
            self._place(key, None, account)
        self._undo.update(undo)

    def _place(self, key: Key, before: Account | None, after: Account | None) -> None:
        if before is not None and (after is None or after.owner != before.owner):
            self._by_owner[before.owner].discard(key)
        if after is None:
            self.current.pop(key, None)
            return
        if before is None or before.owner != after.owner:
            self._by_owner.setdefault(after.owner, set()).add(key)
        self.current[key] = after
