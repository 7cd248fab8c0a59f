"""Cursors: exact, bound to their order, and refused in any other form."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.testing import create_test_client
from sqlalchemy import BigInteger, Boolean, Integer, SmallInteger, Text, column
from sqlalchemy.dialects.postgresql import UUID as UUID_TYPE

from api.errors import ApiError
from api.requests import pages
from zmart_pipelines.store.queries.keyset import KeyColumn, Order
from zmart_pipelines.store.tables.base import BYTES, TIME, U64

COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "amount": (U64(), st.integers(-(10**20) + 1, 10**20 - 1)),
    "at": (BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "number": (Integer(), st.integers(-(2**31), 2**31 - 1)),
    "state": (SmallInteger(), st.integers(-(2**15), 2**15 - 1)),
    "flag": (Boolean(), st.booleans()),
    "market_id": (BYTES(), st.binary(max_size=32)),
    "moment": (TIME, st.datetimes(timezones=st.just(UTC))),
    "uuid": (UUID_TYPE(as_uuid=True), st.uuids()),
    "word": (Text(), st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=9)),
}


@st.composite
def orders(draw: st.DrawFn) -> tuple[Order, tuple[Any, ...]]:
    """An order of some columns, and a key of it."""
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4, unique=True))
    columns, key = [], []
    for name in names:
        type_, values = COLUMNS[name]
        nullable = draw(st.booleans())
        columns.append(KeyColumn(name, column(name, type_), nullable=nullable))
        key.append(draw(st.none() | values if nullable else values))
    return Order(draw(st.sampled_from(["newest", "volume:desc"])), tuple(columns)), tuple(key)


NEWEST = Order(
    "newest",
    (
        KeyColumn("created_at", column("created_at", BigInteger()), descending=True),
        KeyColumn("market_id", column("market_id", BYTES()), descending=True),
    ),
)
KEY = (1_790_000_000, b"\x01" * 32)


def of(value: object) -> str:
    """A cursor with any content."""
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


@given(orders())
def test_cursor_returns_exactly_its_key(case: tuple[Order, tuple[Any, ...]]) -> None:
    order, key = case
    cursor = pages.encode_cursor(order, key)
    assert len(cursor) <= pages.MAX_CURSOR
    assert pages.decode_cursor(order, cursor) == key


@given(st.text() | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused_and_names_the_cursor(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        pages.decode_cursor(NEWEST, text)
    assert caught.value.status == 400
    assert caught.value.fields[0].field == "cursor"


@given(orders(), st.data())
def test_cursor_with_one_character_changed_names_another_key_or_is_refused(
    case: tuple[Order, tuple[Any, ...]], data: st.DataObject
) -> None:
    order, key = case
    cursor = pages.encode_cursor(order, key)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != cursor[place]))
    found = None
    with contextlib.suppress(ApiError):
        found = pages.decode_cursor(order, cursor[:place] + other + cursor[place + 1 :])
    assert found != key


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "é",
        "A" * (pages.MAX_CURSOR + 1),
        pages.encode_cursor(NEWEST, KEY) + "=",
        pages.encode_cursor(NEWEST, KEY) + "\n",
        of(["ending", *KEY]),
        of(["newest", KEY[0]]),
        of(["newest", *KEY, 1]),
        of(["newest", str(KEY[0]), KEY[1]]),
        of(["newest", 2**63, KEY[1]]),
        of(["newest", None, KEY[1]]),
        of(["newest", 1.5, KEY[1]]),
        of(["newest", True, KEY[1]]),
        of({"newest": KEY[0]}),
        of([]),
        of([[[[]]]]),
    ],
)
def test_cursor_of_another_order_or_form_is_refused(cursor: str) -> None:
    with pytest.raises(ApiError, match="cursor: must be `next` of a page"):
        pages.decode_cursor(NEWEST, cursor)


@pytest.mark.parametrize(
    ("name", "value"),
    [("amount", 10**20), ("word", "a\x00"), ("moment", datetime(2026, 1, 1))],  # noqa: DTZ001 naive on purpose
)
def test_value_that_its_column_cannot_hold_is_refused(name: str, value: object) -> None:
    order = Order("newest", (KeyColumn(name, column(name, COLUMNS[name][0])),))
    with pytest.raises(ApiError):
        pages.decode_cursor(order, of(["newest", value]))


class Row(msgspec.Struct, frozen=True):
    """What a list shows."""

    created_at: int
    market_id: bytes


def test_page_fetches_one_row_more_and_continues_after_the_last_shown() -> None:
    rows = [Row(number, bytes([number])) for number in (3, 2, 1)]
    page = pages.requested(NEWEST, 2)
    assert page.fetch == 3
    shown, next_ = page.cut(rows)
    assert shown == rows[:2]
    assert next_ is not None
    assert pages.requested(NEWEST, 2, 0, next_).after == (2, b"\x02")
    assert pages.requested(NEWEST, 3).cut(rows) == (rows, None)
    assert pages.requested(NEWEST, 0).fetch == 0
    assert pages.requested(NEWEST, 0).cut([]) == ([], None)


def test_cursor_with_an_offset_is_refused() -> None:
    cursor = pages.encode_cursor(NEWEST, KEY)
    assert pages.requested(NEWEST, 2, 0, cursor).after == KEY
    with pytest.raises(ApiError, match="cursor: must not be given together with offset"):
        pages.requested(NEWEST, 2, 1, cursor)


@get("/api/things/{name:str}")
async def things(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[dict[str, str]]:
    return pages.response(request, {"name": name}, "next-page" if name != "last" else None)


def test_link_continues_the_same_query() -> None:
    with create_test_client([things]) as client:
        answer = client.get("/api/things/a%20b?q=x%26y&q=z&offset=40&cursor=old&empty=")
        assert answer.headers["link"] == (
            '</api/things/a%20b?q=x%26y&q=z&empty=&cursor=next-page>; rel="next"'
        )
        assert "link" not in client.get("/api/things/last").headers


def test_uuid_and_time_keep_all_their_digits() -> None:
    order = Order(
        "x",
        (
            KeyColumn("moment", column("moment", TIME)),
            KeyColumn("uuid", column("uuid", UUID_TYPE(as_uuid=True))),
        ),
    )
    key = (datetime(2026, 1, 1, 0, 0, 0, 1, UTC), UUID(int=2**128 - 1))
    assert pages.decode_cursor(order, pages.encode_cursor(order, key)) == key
