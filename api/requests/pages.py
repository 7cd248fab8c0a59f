"""Pages of a list: by ``limit`` and ``offset``, or by a cursor that continues after a row.

A cursor is the key of the last row of a page with the name of the list's order, as canonical
JSON in base64url. A page by cursor begins after that row wherever it is now, so that rows which
are added or removed meanwhile neither repeat nor hide others.

A handler with ``limit: Limit``, ``offset: Offset`` (``api.dependencies``) and ``cursor: Cursor``,
declared with ``response_headers=[pages.LINK]`` and ``opt=query_rules.stated(pages.rule(ORDER))``,
that returns a ``Response[Body]``::

    page = pages.requested(ORDER, limit, offset, cursor)
    rows = find(conn, ..., page)        # Order.page(..., limit=page.fetch)
    shown, next_ = page.cut(rows)
    return pages.response(request, Body(..., next=next_), next_)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.params import QueryParameter

from api.errors import invalid
from api.requests.query_rules import Given, Rule
from zmart_pipelines.store.queries.keyset import Key, Order

RowT = TypeVar("RowT")
BodyT = TypeVar("BodyT")

MAX_CURSOR = 512
# The largest numbers of the store are NUMERIC(20, 0).
MAX_NUMBER = 10**20

Cursor: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        max_length=MAX_CURSOR,
        description="`next` of the page before: continue after its last row.",
    ),
]

LINK = ResponseHeader(
    name="Link",
    description='The next page: `<path?query>; rel="next"`. Absent on the last page.',
    documentation_only=True,
)


class Page(msgspec.Struct, frozen=True):
    """What a request asks of a list in ``order``.

    Attributes:
        after: Key of the last row of the page before; None for a page by offset.
    """

    order: Order
    limit: int
    offset: int = 0
    after: Key | None = None

    @property
    def fetch(self) -> int:
        """Return how many rows to read: one more than shown tells whether another page follows."""
        return self.limit + 1 if self.limit else 0

    def cut(self, rows: Sequence[RowT]) -> tuple[Sequence[RowT], str | None]:
        """Return the rows to show of the ``fetch`` ones that were read, and the next cursor.

        The rows have the order's columns as attributes.
        """
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        return shown, encode_cursor(self.order, self.order.key_of(shown[-1]))


def rule(order: Order | Callable[[Given], Order]) -> Rule:
    """Return the rule that a request's ``cursor`` belongs to its page.

    Args:
        order: Of the list, or the one that a request asks for.
    """

    def of_page(given: Given) -> None:
        asked = order if isinstance(order, Order) else order(given)
        requested(asked, 0, given.query.get("offset", 0), given.query.get("cursor"))

    return of_page


def requested(order: Order, limit: int, offset: int = 0, cursor: str | None = None) -> Page:
    """Return the page that a request's parameters name.

    Raises:
        ApiError: 400 naming ``cursor`` where it is malformed, belongs to another order, or an
            offset other than 0 is given with it.
    """
    if cursor is None:
        return Page(order, limit, offset)
    if offset:
        raise invalid("cursor", "must not be given together with offset")
    return Page(order, limit, 0, decode_cursor(order, cursor))


def encode_cursor(order: Order, key: Key) -> str:
    """Return the cursor that continues a list in ``order`` after the row with ``key``."""
    text = msgspec.json.encode([order.name, *key])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_cursor(order: Order, cursor: str) -> Key:
    """Return the key in a cursor of ``order``; raise ApiError 400 naming ``cursor`` otherwise."""
    error = invalid("cursor", "must be `next` of a page of this list in the same order, unchanged")
    if not cursor.isascii() or len(cursor) > MAX_CURSOR:
        raise error
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        name, *key = _decoder(order).decode(text)
    except (binascii.Error, UnicodeDecodeError, RecursionError, msgspec.DecodeError) as reason:
        raise error from reason
    # One key has one cursor: no other spelling of its values, no characters that decoding skips.
    if name != order.name or encode_cursor(order, tuple(key)) != cursor:
        raise error
    if any(isinstance(value, int) and abs(value) >= MAX_NUMBER for value in key):
        raise error
    return tuple(key)


def _decoder(order: Order) -> msgspec.json.Decoder[Any]:
    return _decoder_of(tuple(column.value_type for column in order.columns))


@lru_cache
def _decoder_of(types: tuple[Any, ...]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(tuple.__class_getitem__((str, *types)))


def response(
    request: Request[Any, Any, Any], body: BodyT, next_cursor: str | None
) -> Response[BodyT]:
    """Return ``body`` with the ``Link`` header of the page that follows it."""
    headers = {} if next_cursor is None else {"Link": link(request, next_cursor)}
    return Response(body, headers=headers)


def link(request: Request[Any, Any, Any], next_cursor: str) -> str:
    """Return the ``Link`` header's value: the request's own query, continued at the cursor."""
    return link_to(link_before_cursor(request), next_cursor)


def link_before_cursor(request: Request[Any, Any, Any]) -> str:
    """Return the part of ``link`` that does not depend on the cursor."""
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in query if name not in {"cursor", "offset"}]
    return f"<{quote(request.scope['path'])}?{urlencode([*kept, ('cursor', '')])}"


def link_to(before_cursor: str, next_cursor: str) -> str:
    """Return the ``Link`` header's value; a cursor has only characters that a URL may have."""
    return f'{before_cursor}{next_cursor}>; rel="next"'
