"""Table ``ops.api_counts``: what each API process counted in each minute."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text

from zmart_pipelines.store.tables.base import TIME, metadata

api_counts = Table(
    "api_counts",
    metadata,
    Column(
        "minute",
        TIME,
        primary_key=True,
        comment="Database clock: the minute in which it was counted",
    ),
    Column("process", Text, primary_key=True, comment="API: name of the process"),
    Column("requests", BigInteger, nullable=False, comment="API: requests answered in the minute"),
    Column(
        "errors",
        BigInteger,
        nullable=False,
        comment="API: those of them answered with a status of 500 to 599",
    ),
    Column(
        "rate_limit_refusals",
        BigInteger,
        nullable=False,
        comment="API: requests that a rate limit refused in the minute",
    ),
    Column(
        "failed_pins",
        BigInteger,
        nullable=False,
        comment="API: files that the pin store refused in the minute",
    ),
    Column(
        "clients",
        BigInteger,
        nullable=False,
        comment="API: connections for live updates that were open when the row was last written",
    ),
    CheckConstraint("extract(second FROM minute AT TIME ZONE 'UTC') = 0", name="minute"),
    CheckConstraint(
        "least(requests, errors, rate_limit_refusals, failed_pins, clients) >= 0"
        " AND errors <= requests",
        name="counts",
    ),
    schema="ops",
)
