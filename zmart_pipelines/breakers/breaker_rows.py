"""Breakers that all processes share and that outlive them: rows of ``ops.breakers``.

Each function is one locked read and one write of its row, in the caller's transaction. The row
stays locked until that ends, so keep it short. Entering a closed breaker locks nothing. Times are
the database's. Names are ``rpc:<endpoint>`` and ``action:<action>``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.breakers import machine
from zmart_pipelines.breakers.machine import Breaker, Permit, Policy, Refusal, State
from zmart_pipelines.store.tables.ops import breakers

# Characters of an error text that the row keeps.
MAX_ERROR_LENGTH = 500

_COLUMNS = Breaker.__struct_fields__


def allow(
    conn: Connection, name: str, policy: Policy, *, now: datetime | None = None
) -> Permit | Refusal:
    """Return whether the work called ``name`` may be tried now; one process gets the probe.

    Pass the permit's generation to :func:`succeeded` or :func:`failed`, or return it with
    :func:`abandoned`.
    """
    return enter(conn, name, policy, now=now)[0]


def enter(
    conn: Connection, name: str, policy: Policy, *, now: datetime | None = None
) -> tuple[Permit | Refusal, Breaker]:
    """Return the answer of :func:`allow` and the breaker after it."""
    columns = [breakers.c[column] for column in _COLUMNS]
    row = conn.execute(select(*columns).where(breakers.c.name == name)).one_or_none()
    known = Breaker() if row is None else _breaker(row)
    if known.state is State.CLOSED:
        # The usual case waits for no lock and writes nothing.
        return Permit(known.generation), known
    breaker, clock = _locked(conn, name)
    after, answer = machine.allow(breaker, now or clock, policy)
    _write(conn, name, breaker, after)
    return answer, after


def succeeded(conn: Connection, name: str, generation: int | None = None) -> Breaker:
    """Record a success; return the breaker after it. See :func:`machine.succeeded`."""
    breaker, _ = _locked(conn, name)
    after = machine.succeeded(breaker, generation)
    _write(conn, name, breaker, after)
    return after


def failed(
    conn: Connection,
    name: str,
    error: str,
    policy: Policy,
    *,
    generation: int | None = None,
    subject: str | None = None,
    now: datetime | None = None,
) -> Breaker:
    """Record a failure; return the breaker after it. See :func:`machine.failed`."""
    breaker, clock = _locked(conn, name)
    after = machine.failed(
        breaker,
        error[:MAX_ERROR_LENGTH],
        now or clock,
        policy,
        generation=generation,
        subject=subject,
    )
    _write(conn, name, breaker, after)
    return after


def abandoned(
    conn: Connection, name: str, generation: int, *, now: datetime | None = None
) -> Breaker:
    """Return an unused permit; return the breaker after it."""
    breaker, clock = _locked(conn, name)
    after = machine.abandoned(breaker, generation, now or clock)
    _write(conn, name, breaker, after)
    return after


def reset(conn: Connection, name: str) -> bool:
    """Close a breaker on an operator's request; return whether it exists."""
    known = conn.execute(select(breakers.c.name).where(breakers.c.name == name)).one_or_none()
    if known is None:
        return False
    breaker, _ = _locked(conn, name)
    _write(conn, name, breaker, machine.reset(breaker))
    return True


def _locked(conn: Connection, name: str) -> tuple[Breaker, datetime]:
    """Return the row, locked, and the database's clock after the lock was acquired."""
    columns = [breakers.c[column] for column in _COLUMNS]
    lock = select(*columns).where(breakers.c.name == name).with_for_update()
    row = conn.execute(lock).one_or_none()
    if row is None:
        conn.execute(insert(breakers).values(name=name).on_conflict_do_nothing())
        row = conn.execute(lock).one()
    clock: datetime = conn.execute(select(func.clock_timestamp())).scalar_one()
    return _breaker(row), clock.astimezone(UTC)


def _breaker(row: Row[*tuple[Any, ...]]) -> Breaker:
    values = dict(row._mapping)
    return Breaker(
        **values | {"state": State(values["state"]), "subjects": tuple(values["subjects"])}
    )


def _write(conn: Connection, name: str, before: Breaker, after: Breaker) -> None:
    if after == before:
        return
    values = msgspec.structs.asdict(after) | {"subjects": list(after.subjects)}
    conn.execute(
        update(breakers)
        .where(breakers.c.name == name)
        .values(**values, changed_at=func.clock_timestamp())
    )
