"""The metadata, the schemas and the column types that all tables share.

Keys, signatures and hashes are ``bytea``; the edge renders them. A u64 of the chain is
``NUMERIC(20, 0)`` (it does not fit BIGINT); slots and chain seconds are BIGINT.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Dialect, Enum, LargeBinary, MetaData, Numeric, TypeDecorator
from sqlalchemy.dialects.postgresql import TIMESTAMP

SCHEMAS = ("chain", "market", "voting", "community", "accounts", "ops")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class U64(TypeDecorator[int]):
    """A u64 of the chain; an ``int`` in Python."""

    impl = Numeric(20, 0)
    cache_ok = True

    def process_result_value(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """Return the driver's Decimal as ``int``."""
        return None if value is None else int(value)


BYTES = LargeBinary
TIME = TIMESTAMP(timezone=True)

# The commitment ladder. The enum has the ladder's order, so GREATEST() promotes.
COMMITMENT = Enum(
    "orphaned",
    "reported",
    "confirmed",
    "finalized",
    name="commitment",
    schema="chain",
    metadata=metadata,
)
