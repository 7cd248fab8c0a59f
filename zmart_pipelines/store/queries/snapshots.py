"""Which commits a statement sees, for readers that keep what they have read."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Text, cast, func, select

from zmart_pipelines.store.prepared_statements import PreparedStatement

# Two statements of one run of a server whose snapshots are equal see the same rows: a snapshot
# names the transactions that it sees, and a commit between the two would be in the later one.
CURRENT: Final = PreparedStatement(select(cast(func.pg_current_snapshot(), Text)))
