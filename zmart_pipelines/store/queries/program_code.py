"""Which code the program was seen to have, and which of it was accepted."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.program_code import program_code

_code = program_code.c


class SeenCode(msgspec.Struct, frozen=True):
    """Code that the program has or had; ``accepted_at`` is None until it is accepted."""

    code_hash: bytes
    deployed_slot: int
    first_seen_at: datetime
    accepted_at: datetime | None


_COLUMNS = tuple(_code[name] for name in SeenCode.__struct_fields__)


def seen_code(conn: Connection, program: bytes) -> list[SeenCode]:
    """Return the code that a program was seen to have."""
    return many(SeenCode, conn.execute(select(*_COLUMNS).where(_code.program == program)))


def record_code(
    conn: Connection, program: bytes, code_hash: bytes, deployed_slot: int, *, is_accepted: bool
) -> SeenCode:
    """Record code that the program has now; return its row. The caller commits.

    Args:
        conn: A transaction.
        program: Its address.
        code_hash: SHA-256 of the code.
        deployed_slot: When it was deployed.
        is_accepted: Whether it is accepted if it was never seen before.
    """
    added = insert(program_code).values(
        program=program,
        code_hash=code_hash,
        deployed_slot=deployed_slot,
        accepted_at=func.now() if is_accepted else None,
    )
    statement = added.on_conflict_do_update(
        index_elements=["program", "code_hash"], set_={"deployed_slot": deployed_slot}
    )
    return one(SeenCode, conn.execute(statement.returning(*_COLUMNS)).one())


def accept_code(conn: Connection, program: bytes, code_hash: bytes) -> None:
    """Accept code of a program; the caller commits."""
    conn.execute(
        update(program_code)
        .where(_code.program == program, _code.code_hash == code_hash)
        .values(accepted_at=func.now())
    )
