"""The advisory locks of the system, in the order in which a transaction acquires them.

All are transaction-level (``pg_advisory_xact_lock``), except the migration's. A writer
acquires ``CONFIGURATION`` first (shared; exclusive when the configuration's history changes),
then its markets' locks in the order of their keys, and ``STREAM`` last. A user's request
acquires its sender's locks first and ``STREAM`` last; it never waits for the lock of its
idempotency key. Keeping to this order excludes
deadlocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from sqlalchemy import Connection, func, select

from zmart_pipelines.store.binary_arrays import numbers
from zmart_pipelines.store.statement_pipeline import Statement, run

# Any fixed numbers that differ; the key space of advisory locks is one per database.
MIGRATION = 0x7A6D_6172_7400_0001
CONFIGURATION = 0x7A6D_6172_7400_0002
COVERAGE = 0x7A6D_6172_7400_0003
STREAM = 0x7A6D_6172_7400_0004
# Held by a connection of its own around the other locks: one refresh of statistics at a time.
STATISTICS = 0x7A6D_6172_7400_0005

# Held for a transaction by the process that updates the alerts of health.
HEALTH_WATCH = 0x7A6D_6172_7400_0006

# Held for a transaction by the process that writes messages about alerts to the outbox.
ALERT_MESSAGES = 0x7A6D_6172_7400_0007


def market_key(address: bytes) -> int:
    """Return the lock key of the market at ``address`` (a signed 64-bit number)."""
    return _key(address)


def _key(name: bytes, purpose: bytes = b"") -> int:
    return int.from_bytes(blake2b(name, digest_size=8, person=purpose).digest(), signed=True)


def locking(key: int) -> Statement:
    """Return the statement that holds ``key`` exclusively until the transaction ends."""
    return Statement("SELECT pg_advisory_xact_lock(%b::int8)", (key,))


def locking_shared(key: int) -> Statement:
    """Return the statement that shares ``key`` until the transaction ends."""
    return Statement("SELECT pg_advisory_xact_lock_shared(%b::int8)", (key,))


_LOCK_ALL = """
SELECT count(pg_advisory_xact_lock(key)) FROM (SELECT unnest(%b::int8[]) AS key ORDER BY 1) AS keys
"""


def locking_markets(addresses: Iterable[bytes]) -> Statement:
    """Return the statement that acquires these markets' locks in the order of their keys."""
    keys = sorted({market_key(address) for address in addresses})
    return Statement(_LOCK_ALL, (numbers(keys),))


def lock(conn: Connection, key: int) -> None:
    """Hold ``key`` exclusively until the transaction ends."""
    run(conn, locking(key))


def try_lock(conn: Connection, key: int) -> bool:
    """Hold ``key`` exclusively until the transaction ends, or return False if another does."""
    return bool(conn.execute(select(func.pg_try_advisory_xact_lock(key))).scalar_one())


def lock_shared(conn: Connection, key: int) -> None:
    """Share ``key`` with other holders until the transaction ends."""
    run(conn, locking_shared(key))


def lock_markets(conn: Connection, addresses: Iterable[bytes]) -> None:
    """Acquire the locks of these markets, in the order of their keys."""
    if wanted := list(addresses):
        run(conn, locking_markets(wanted))


def lock_request_senders(conn: Connection, *senders: bytes) -> None:
    """Serialize the writes of each sender (a wallet, a client's address) until the commit."""
    keys = sorted({_key(sender, b"request sender") for sender in senders})
    run(conn, Statement(_LOCK_ALL, (numbers(keys),)))


def try_lock_idempotency_key(conn: Connection, wallet: bytes, key: str) -> bool:
    """Hold a wallet's idempotency key until the transaction ends; False if another request does."""
    return try_lock(conn, _key(wallet + key.encode(), b"idempotency"))


def lock_pinned_file(conn: Connection, cid: str) -> None:
    """Hold a file's CID until the transaction ends, which adds a row that needs it, or unpins it.

    A file is pinned after the commit of the row, so that it is there whichever comes first.
    """
    lock(conn, _key(cid.encode(), b"pinned file"))


def lock_snapshots(conn: Connection, market_id: bytes) -> None:
    """Hold the snapshots of a market's discussion until the transaction ends."""
    lock(conn, _key(market_id, b"snapshots"))
