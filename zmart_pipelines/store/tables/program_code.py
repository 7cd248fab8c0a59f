"""Table ``ops.program_code``: the code that the program was seen to have on chain."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, func

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

program_code = Table(
    "program_code",
    metadata,
    Column("program", BYTES, primary_key=True, comment="Settings: address of the program"),
    Column("code_hash", BYTES, primary_key=True, comment="Monitor: SHA-256 of the code on chain"),
    Column("deployed_slot", BigInteger, nullable=False, comment="Chain: slot of its deployment"),
    Column(
        "first_seen_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "accepted_at",
        TIME,
        comment="Database clock: when it was accepted; null: its alert is open",
    ),
    CheckConstraint("octet_length(program) = 32", name="program"),
    CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
    schema="ops",
)
