"""The submitter's lease: one holder at a time, by the database's clock, with an epoch.

Every transaction that writes intents or attempts begins with :func:`fence`. It locks the lease's
row in share mode, so that no other process can acquire the lease before that transaction ends. A
holder that was suspended past its lease finds a higher epoch and writes nothing. One that was
suspended inside such a transaction loses it after a few idle seconds. The chain cannot be fenced:
therefore bytes are sent only after their attempt is committed, and a new holder drives live
attempts to a verdict before it signs.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, text

NAME = "submitter"
# Seconds that a fenced transaction may be idle before Postgres ends it.
STALL_SECONDS = 5.0


class Lease(msgspec.Struct, frozen=True):
    """A lease that was held when it was returned; ``epoch`` increases with every holder."""

    holder: str
    epoch: int


class LeaseLost(Exception):
    """Another process holds the lease, or it has expired."""


_ACQUIRE = text(
    """
INSERT INTO ops.leases AS leases (name, holder, epoch, expires_at)
VALUES (:name, :holder, 1, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder, epoch = leases.epoch + 1, expires_at = excluded.expires_at
WHERE leases.expires_at <= clock_timestamp()
RETURNING epoch
"""
)

_RENEW = text(
    """
UPDATE ops.leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE name = :name AND epoch = :epoch AND expires_at > clock_timestamp()
"""
)

_RELEASE = text(
    "UPDATE ops.leases SET expires_at = clock_timestamp() WHERE name = :name AND epoch = :epoch"
)

_FENCE = text(
    """
SELECT set_config('idle_in_transaction_session_timeout', :stall, true) FROM ops.leases
WHERE name = :name AND epoch = :epoch AND expires_at > clock_timestamp()
FOR SHARE
"""
)


def acquire(conn: Connection, holder: str, seconds: float) -> Lease | None:
    """Acquire the lease for ``seconds``; None while another process holds it."""
    epoch = conn.execute(
        _ACQUIRE, {"name": NAME, "holder": holder, "seconds": seconds}
    ).scalar_one_or_none()
    return None if epoch is None else Lease(holder=holder, epoch=epoch)


def renew(conn: Connection, lease: Lease, seconds: float) -> None:
    """Extend the lease to ``seconds`` from now.

    Raises:
        LeaseLost: It is no longer held.
    """
    changed = conn.execute(_RENEW, {"name": NAME, "epoch": lease.epoch, "seconds": seconds})
    if changed.rowcount != 1:
        raise LeaseLost(f"the lease of epoch {lease.epoch} is no longer held")


def release(conn: Connection, lease: Lease) -> None:
    """Release the lease; no effect when another process already holds it."""
    conn.execute(_RELEASE, {"name": NAME, "epoch": lease.epoch})


def fence(conn: Connection, lease: Lease) -> None:
    """Lock the lease in this transaction, so that its writes are those of the holder.

    Raises:
        LeaseLost: It is no longer held.
    """
    stall = f"{int(STALL_SECONDS * 1000)}ms"
    parameters = {"name": NAME, "epoch": lease.epoch, "stall": stall}
    held = conn.execute(_FENCE, parameters).one_or_none()
    if held is None:
        raise LeaseLost(f"the lease of epoch {lease.epoch} is no longer held")
