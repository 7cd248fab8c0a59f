"""Blocks, transactions and the state of the chain, in SQLite in the state folder.

A closed slot is one SQLite transaction: its block, its transactions, the accounts it changed
and their previous versions. A process that dies therefore resumes from its last closed slot;
transactions of the open slot are lost, as processed transactions can be on any cluster.
``synchronous`` is NORMAL: a killed process loses nothing, a power failure may lose the last
slots, but never consistency.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from localnet.accounts import Account, Key, Undo
from localnet.blocks import Block
from localnet.transaction_errors import TxError
from zmart_pipelines.program.ids import MEMO_PROGRAM

_SLOT_SHIFT: Final = 24
_MEMO: Final = bytes(MEMO_PROGRAM)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (
  slot INTEGER PRIMARY KEY, parent INTEGER NOT NULL, height INTEGER NOT NULL,
  blockhash BLOB NOT NULL, parent_hash BLOB NOT NULL, unix_time INTEGER NOT NULL,
  total INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
  id INTEGER PRIMARY KEY, signature BLOB NOT NULL UNIQUE, error BLOB, memo TEXT,
  wire BLOB NOT NULL, meta BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mentions (
  address BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (address, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
  address BLOB PRIMARY KEY, lamports INTEGER NOT NULL, owner BLOB NOT NULL,
  data BLOB NOT NULL, executable INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS undo (
  slot INTEGER NOT NULL, address BLOB NOT NULL, before BLOB,
  PRIMARY KEY (slot, address)) WITHOUT ROWID;
"""

_encode = msgspec.msgpack.Encoder().encode
_decode_account = msgspec.msgpack.Decoder(Account).decode
_json = msgspec.json.Encoder().encode


class StoredTransaction(NamedTuple):
    """A transaction of a closed slot; ``meta`` is the RPC's JSON object."""

    signature: bytes
    slot: int
    position: int
    error: TxError | None
    wire: bytes
    meta: bytes
    unix_time: int


class Mention(NamedTuple):
    """A transaction that references an address, without its body."""

    signature: bytes
    slot: int
    position: int
    error: TxError | None
    memo: str | None
    unix_time: int


class History:
    """The store of one chain, opened once and used by one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -16384")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file, merging the journal into it."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # Facts about the chain

    def fact(self, name: str) -> bytes | None:
        """Return a named value, None when never set."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_fact(self, name: str, value: bytes) -> None:
        """Set a named value."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # Writing

    def append(
        self,
        block: Block,
        undo: Undo,
        current: dict[Key, Account],
        finalized: int,
        undo_floor: int,
        clock: tuple[int, int],
    ) -> None:
        """Store a closed slot: block, transactions, changed accounts, undo log, clock."""
        first = block.slot << _SLOT_SHIFT
        with self._transaction():
            self._insert_block(block)
            self._db.executemany(
                "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        first + index,
                        record.signature,
                        None if record.error is None else _json(record.error),
                        _memo(record.keys, record.logs),
                        record.wire,
                        bytes(record.meta),
                    )
                    for index, record in enumerate(block.records)
                ],
            )
            self._db.executemany(
                "INSERT INTO mentions VALUES (?, ?)",
                [
                    (key, first + index)
                    for index, record in enumerate(block.records)
                    for key in record.keys
                ],
            )
            self._db.executemany(
                "INSERT INTO undo VALUES (?, ?, ?)",
                [
                    (block.slot, key, None if before is None else _encode(before))
                    for key, before in undo.items()
                ],
            )
            self._write_accounts(undo, current)
            self._db.execute("DELETE FROM undo WHERE slot <= ?", (undo_floor,))
            self.set_fact("finalized", b"%d" % finalized)
            self.set_fact("clock", _json(clock))

    def insert_genesis(self, block: Block, accounts: dict[Key, Account], keys: bytes) -> None:
        """Store the first block, its accounts and the wallets."""
        with self._transaction():
            self._insert_block(block)
            self._write_accounts(accounts, accounts)
            self.set_fact("keys", keys)
            self.set_fact("clock", _json((block.unix_time * 1000, 0)))
            self.set_fact("finalized", b"%d" % block.slot)

    def _insert_block(self, block: Block) -> None:
        self._db.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                block.slot,
                block.parent,
                block.height,
                block.blockhash,
                block.parent_hash,
                block.unix_time,
                block.total,
            ),
        )

    def _write_accounts(self, keys: Iterable[Key], current: dict[Key, Account]) -> None:
        removed, rows = [], []
        for key in keys:
            account = current.get(key)
            if account is None:
                removed.append((key,))
            else:
                rows.append(
                    (key, account.lamports, account.owner, account.data, account.executable)
                )
        self._db.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)", rows)
        self._db.executemany("DELETE FROM accounts WHERE address = ?", removed)

    def drop_after(self, slot: int, current: dict[Key, Account]) -> None:
        """Delete every block after a slot; ``current`` holds the accounts as of that slot."""
        first = (slot + 1) << _SLOT_SHIFT
        with self._transaction():
            rows = self._db.execute(
                "SELECT DISTINCT address FROM undo WHERE slot > ?", (slot,)
            ).fetchall()
            self._write_accounts([row[0] for row in rows], current)
            self._db.execute("DELETE FROM undo WHERE slot > ?", (slot,))
            self._db.execute("DELETE FROM mentions WHERE id >= ?", (first,))
            self._db.execute("DELETE FROM transactions WHERE id >= ?", (first,))
            self._db.execute("DELETE FROM blocks WHERE slot > ?", (slot,))

    def snapshot(self, path: Path) -> None:
        """Write a consistent copy of the whole store to a new file (mode 0600)."""
        if path.exists():
            raise FileExistsError(f"{path} already exists; write the snapshot to a new file")
        path.touch(mode=0o600)
        target = sqlite3.connect(path)
        try:
            self._db.backup(target)
        finally:
            target.close()

    def restore(self, path: Path) -> None:
        """Replace the whole store by a snapshot.

        Raises:
            ValueError: the file is not a snapshot.
        """
        if not path.is_file():
            raise ValueError(f"{path}: no such snapshot")
        source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            known = source.execute("SELECT count(*) FROM facts WHERE name = 'keys'").fetchone()
            if known != (1,):
                raise ValueError(f"{path}: not a snapshot of a local chain")
            source.backup(self._db)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path}: not a snapshot of a local chain ({error})") from error
        finally:
            source.close()

    # State after a restart

    def recent_blocks(self, count: int) -> list[Block]:
        """Return the newest blocks, oldest first, without their records."""
        rows = self._db.execute(
            "SELECT slot, parent, height, blockhash, parent_hash, unix_time, total "
            "FROM blocks ORDER BY slot DESC LIMIT ?",
            (count,),
        ).fetchall()
        blocks = [Block(*row) for row in reversed(rows)]
        if blocks:
            by_slot = {block.slot: block for block in blocks}
            for signature, identity in self._db.execute(
                "SELECT signature, id FROM transactions WHERE id >= ? ORDER BY id",
                (blocks[0].slot << _SLOT_SHIFT,),
            ):
                by_slot[identity >> _SLOT_SHIFT].signatures.append(signature)
        return blocks

    def statuses_from(self, slot: int) -> Iterator[tuple[bytes, int, TxError | None]]:
        """Yield signature, slot and error of every transaction since a slot."""
        for signature, identity, error in self._db.execute(
            "SELECT signature, id, error FROM transactions WHERE id >= ?", (slot << _SLOT_SHIFT,)
        ):
            yield signature, identity >> _SLOT_SHIFT, _error(error)

    def accounts(self) -> Iterator[tuple[Key, Account]]:
        """Yield every account as of the newest block."""
        for key, lamports, owner, data, executable in self._db.execute("SELECT * FROM accounts"):
            yield key, Account(lamports, owner, data, bool(executable))

    def undo_logs(self) -> list[tuple[int, Undo]]:
        """Return the kept undo logs, oldest first; a slot without writes has none."""
        logs: dict[int, Undo] = {}
        for slot, key, before in self._db.execute(
            "SELECT slot, address, before FROM undo ORDER BY slot"
        ):
            account = None if before is None else _decode_account(before)
            logs.setdefault(slot, {})[key] = account
        return list(logs.items())

    def finalized(self) -> int:
        """Return the finalized slot as of the newest block."""
        return int(self.fact("finalized") or b"0")

    def clock(self) -> tuple[int, int]:
        """Return chain time and offset in milliseconds as of the newest block."""
        return msgspec.json.decode(self.fact("clock") or b"[0,0]", type=tuple[int, int])

    # Reading

    def transaction(self, signature: bytes) -> StoredTransaction | None:
        """Return a transaction of a closed slot."""
        row = self._db.execute(
            "SELECT t.signature, t.id, t.error, t.wire, t.meta, b.unix_time "
            "FROM transactions t JOIN blocks b ON b.slot = t.id >> 24 WHERE t.signature = ?",
            (signature,),
        ).fetchone()
        return None if row is None else _stored(row)

    def block(self, slot: int) -> Block | None:
        """Return a block without its records."""
        row = self._db.execute(
            "SELECT slot, parent, height, blockhash, parent_hash, unix_time, total "
            "FROM blocks WHERE slot = ?",
            (slot,),
        ).fetchone()
        return None if row is None else Block(*row)

    def block_transactions(self, slot: int) -> list[StoredTransaction]:
        """Return the transactions of a block in order."""
        rows = self._db.execute(
            "SELECT t.signature, t.id, t.error, t.wire, t.meta, b.unix_time "
            "FROM transactions t JOIN blocks b ON b.slot = ?1 "
            "WHERE t.id >= ?1 << 24 AND t.id < (?1 + 1) << 24 ORDER BY t.id",
            (slot,),
        )
        return [_stored(row) for row in rows]

    def block_slots(self, first: int, last: int, limit: int) -> list[int]:
        """Return the slots of a range that have a block, ascending."""
        rows = self._db.execute(
            "SELECT slot FROM blocks WHERE slot BETWEEN ? AND ? ORDER BY slot LIMIT ?",
            (first, last, limit),
        )
        return [row[0] for row in rows]

    def transaction_count(self, slot: int) -> int:
        """Return the number of transactions in all blocks up to a slot."""
        row = self._db.execute(
            "SELECT total FROM blocks WHERE slot <= ? ORDER BY slot DESC LIMIT 1", (slot,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def signatures_of(
        self,
        address: bytes,
        *,
        last_slot: int,
        before: bytes | None,
        until: bytes | None,
        limit: int,
    ) -> list[Mention]:
        """Return transactions that reference an address up to a slot, newest first.

        As on a cluster, an unknown ``before`` gives an empty result, and an unknown ``until`` is
        ignored.
        """
        top = (last_slot + 1) << _SLOT_SHIFT
        if before is not None:
            found = self._identity(before)
            if found is None:
                return []
            top = min(top, found)
        bottom = self._identity(until) if until is not None else None
        rows = self._db.execute(
            "SELECT t.signature, t.id, t.error, t.memo, b.unix_time FROM mentions m "
            "JOIN transactions t ON t.id = m.id JOIN blocks b ON b.slot = m.id >> 24 "
            "WHERE m.address = ? AND m.id < ? AND m.id > ? ORDER BY m.id DESC LIMIT ?",
            (address, top, -1 if bottom is None else bottom, limit),
        )
        return [
            Mention(signature, *_position(identity), _error(error), memo, unix_time)
            for signature, identity, error, memo, unix_time in rows
        ]

    def _identity(self, signature: bytes) -> int | None:
        row = self._db.execute(
            "SELECT id FROM transactions WHERE signature = ?", (signature,)
        ).fetchone()
        return None if row is None else int(row[0])


def _position(identity: int) -> tuple[int, int]:
    return identity >> _SLOT_SHIFT, identity & ((1 << _SLOT_SHIFT) - 1)


def _error(stored: bytes | None) -> TxError | None:
    return None if stored is None else msgspec.json.decode(stored)


def _stored(row: tuple[bytes, int, bytes | None, bytes, bytes, int]) -> StoredTransaction:
    signature, identity, error, wire, meta, unix_time = row
    return StoredTransaction(signature, *_position(identity), _error(error), wire, meta, unix_time)


def _memo(keys: list[bytes], logs: list[str]) -> str | None:
    """Return the memos of a transaction as the RPC formats them: ``[length] text``."""
    if _MEMO not in keys:
        return None
    found = []
    for line in logs:
        if line.startswith("Program log: Memo (len "):
            length, text = line.removeprefix("Program log: Memo (len ").split("): ", 1)
            found.append(f"[{length}] {text[1:-1]}")
    return "; ".join(found) or None
