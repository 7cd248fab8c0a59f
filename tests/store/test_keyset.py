"""Keyset pages over Postgres: any mix of directions and NULLs, and the index that bounds them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cmp_to_key
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Row,
    Table,
    insert,
    select,
    text,
)

from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.store.engine import login_engine
from zmart_pipelines.store.queries.keyset import KeyColumn, Order

NAMES = ("one", "two", "id")
items = Table(
    "items",
    MetaData(),
    Column("one", Integer),
    Column("two", Integer),
    Column("id", Integer, primary_key=True),
    prefixes=["TEMPORARY"],
)
# Every combination of two values and NULL, twice, so that there are ties everywhere.
ROWS = [
    {"one": one, "two": two, "id": number}
    for number, (one, two, _) in enumerate(product((None, 1, 2), (None, 1, 2), range(2)))
]


@pytest.fixture(scope="module")
def engine(postgres_server: PostgresServer) -> Iterator[Engine]:
    made = login_engine(postgres_server.url("postgres"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def conn(engine: Engine) -> Iterator[Connection]:
    """A connection with the rows in a temporary table."""
    with engine.connect() as made:
        items.create(made)
        made.execute(insert(items), ROWS)
        yield made


def order_of(names: tuple[str, ...], descending: tuple[bool, ...]) -> Order:
    return Order(
        "any",
        tuple(
            KeyColumn(name, items.c[name], descending=down, nullable=name != "id")
            for name, down in zip(names, descending, strict=True)
        ),
    )


def in_order(order: Order, rows: list[dict[str, Any]]) -> list[int]:
    """The ids in the order that Python computes: NULLs last in either direction."""

    def compare(left: dict[str, Any], right: dict[str, Any]) -> int:
        for column in order.columns:
            a, b = left[column.name], right[column.name]
            if a == b:
                continue
            if a is None or b is None:
                return 1 if a is None else -1
            return (1 if a > b else -1) * (-1 if column.descending else 1)
        return 0

    return [row["id"] for row in sorted(rows, key=cmp_to_key(compare))]


def walk(conn: Connection, order: Order, limit: int, where: Any = None) -> list[int]:
    """The ids page by page."""
    found: list[int] = []
    after = None
    while True:
        statement = select(items) if where is None else select(items).where(where)
        rows: list[Row[Any]] = list(conn.execute(order.page(statement, after=after, limit=limit)))
        found += [row.id for row in rows]
        if len(rows) < limit:
            return found
        after = order.key_of(rows[-1])


@given(
    names=st.permutations(NAMES[:2]).map(lambda pair: (*pair, "id")),
    descending=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    limit=st.integers(1, 7),
)
def test_pages_are_the_rows_in_order(
    conn: Connection, names: tuple[str, ...], descending: tuple[bool, ...], limit: int
) -> None:
    order = order_of(names, descending)
    assert walk(conn, order, limit) == in_order(order, ROWS)


@given(descending=st.tuples(st.booleans(), st.booleans(), st.booleans()), limit=st.integers(1, 4))
def test_pages_of_columns_without_nulls_are_the_rows_in_order(
    conn: Connection, descending: tuple[bool, ...], limit: int
) -> None:
    order = Order(
        "any",
        tuple(
            KeyColumn(name, items.c[name], descending=down)
            for name, down in zip(NAMES, descending, strict=True)
        ),
    )
    whole = [row for row in ROWS if row["one"] is not None and row["two"] is not None]
    where = items.c.one.isnot(None) & items.c.two.isnot(None)
    assert walk(conn, order, limit, where) == in_order(order, whole)


def test_offset_skips_rows(conn: Connection) -> None:
    order = order_of(NAMES, (False, False, False))
    rows = conn.execute(order.page(select(items), after=None, limit=3, offset=2))
    assert [row.id for row in rows] == in_order(order, ROWS)[2:5]


@pytest.mark.parametrize("descending", [False, True])
def test_index_starts_at_the_key(engine: Engine, descending: bool) -> None:
    """A page in the middle of 20,000 rows reads about as many rows as it shows."""
    order = order_of(NAMES, (descending,) * 3)
    order = Order("any", tuple(KeyColumn(c.name, c.element, c.descending) for c in order.columns))
    with engine.connect() as conn:
        items.create(conn)
        conn.execute(
            text("INSERT INTO items SELECT i / 100, i / 10, i FROM generate_series(1, 20000) AS i")
        )
        conn.execute(text("CREATE INDEX ON items (one, two, id)"))
        conn.execute(text("ANALYZE items"))
        page = order.page(select(items), after=(100, 1000, 10_000), limit=20)
        compiled = page.compile(conn, compile_kwargs={"literal_binds": True})
        plan: Any = conn.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}")).scalar()
    top = plan[0]["Plan"]
    scan = top["Plans"][0]
    assert "Index" in scan["Node Type"]
    assert "Index Cond" in scan
    assert scan["Actual Rows"] == 20
    assert scan.get("Rows Removed by Filter", 0) == 0
