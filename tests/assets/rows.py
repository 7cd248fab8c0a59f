"""Rows that tests put straight into the tables, where the way they came does not matter."""

import itertools
from typing import Any

from sqlalchemy import Connection, insert

from zmart_pipelines.store.tables import chain

_numbers = itertools.count(1)


def signature() -> bytes:
    return next(_numbers).to_bytes(64, "big")


def market_id() -> bytes:
    return next(_numbers).to_bytes(32, "big")


def add_transaction(conn: Connection, **values: Any) -> bytes:
    added = signature()
    row = {
        "signature": added,
        "digest": bytes(16),
        "slot": 100,
        "index_in_block": 0,
        "block_time": 1_700_000_000,
        "failed": False,
        "logs": b"[]",
        "logs_truncated": False,
        "instructions": [],
        "commitment": "confirmed",
        "sources": 1,
    } | values
    conn.execute(insert(chain.transactions).values(row))
    return added


def add_event(conn: Connection, tx: bytes, **values: Any) -> None:
    row = {
        "signature": tx,
        "log_index": 0,
        "digest": bytes(16),
        "slot": 100,
        "index_in_block": 0,
        "name": "SharesBought",
        "market_id": market_id(),
        "raw": b"\0",
        "data": {},
        "commitment": "confirmed",
    } | values
    conn.execute(insert(chain.events).values(row))
