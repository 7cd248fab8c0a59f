"""The one place that commits changes of the ledger and retries them after a collision."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

MAX_ATTEMPTS: Final = 5

_log = logging.getLogger(__name__)
T = TypeVar("T")


class ConcurrentWriteError(Exception):
    """Another writer stored the same rows at the same time; a retry will find them."""


# What concurrent writers of the same rows may run into. On its retry the loser finds the rows.
COLLISIONS: Final = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
    psycopg.errors.SerializationFailure,
    ConcurrentWriteError,
)


def run_in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in a transaction and commit; roll back and retry after a collision.

    Args:
        engine: acts as INGEST.
        work: must have no effect outside the transaction, since it may run up to
            ``MAX_ATTEMPTS`` times.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with engine.begin() as conn:
                return work(conn)
        except (DBAPIError, ConcurrentWriteError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if not isinstance(cause, COLLISIONS) or attempt == MAX_ATTEMPTS:
                raise
            _log.info("collision with another writer, attempt %d: %r", attempt, cause)
            time.sleep(random.uniform(0, 0.05 * 2**attempt))
    raise AssertionError("unreachable")
