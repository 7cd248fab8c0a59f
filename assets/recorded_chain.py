"""Run the data checks on a recorded chain: fill an empty database from the recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import select

from assets.resources import Backend
from zmart_pipelines.chain.recorded_node import serve
from zmart_pipelines.chain.recording import Recording
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.chain import coverage, transactions


class NotEmpty(Exception):
    """The database already holds a ledger; the message says what to do."""


@contextmanager
def recorded(settings: Settings, recording: Recording) -> Iterator[Backend]:
    """Yield a backend whose chain is the recording and whose database was filled from it.

    Args:
        settings: Of a database with the current schema and no rows.
        recording: The chain.

    Raises:
        NotEmpty: The database holds rows.
    """
    with serve(recording) as url:
        replaced = settings.model_copy(
            update={
                "solana_rpc_url": SecretStr(url),
                "solana_rpc_urls": None,
                "program_id": recording.program,
                # A recording has no rate limit.
                "rpc_calls_per_second": 10_000.0,
            }
        )
        backend = Backend(replaced)
        fill(backend)
        yield backend


def fill(backend: Backend) -> None:
    """Read the whole chain and compute the statistics.

    Raises:
        NotEmpty: The database holds rows.
    """
    # Imported here, because pandas takes a second that other checks need not spend.
    from zmart_pipelines.statistics.refresh import refresh

    with backend.engine(Role.READ).connect() as conn:
        for table in (transactions, coverage):
            if conn.execute(select(table).limit(1)).first() is not None:
                raise NotEmpty(
                    "the database holds a ledger; a recorded chain needs an empty one "
                    "(zmart check --recorded makes its own)"
                )
    read_finalized_window(backend.engine(Role.INGEST), backend.rpc, backend.settings)
    refresh(backend.engine(Role.PIPELINES))
