"""The parameters of the list of markets: what each accepts, and the query that they name.

All invalid parameters are reported at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias, TypeVar, get_args

import msgspec
from litestar.params import QueryParameter

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, invalid
from api.markets.states import parse_state
from api.requests import identifiers, moments, pages, query_rules
from api.requests.bodies import Category
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.queries import market_search
from zmart_pipelines.store.queries.keyset import Key
from zmart_pipelines.store.queries.market_search import Direction, Filters, Sort

T = TypeVar("T")

MAX_TEXT = 200
MAX_TAG = 40
MAX_VALUES = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CATEGORIES: tuple[str, ...] = get_args(Category)
# Shorter digits are words rather than the beginning of an id.
_ID_DIGITS = re.compile(r"[0-9a-fA-F]{8,64}")
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")

Search: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="q",
        max_length=MAX_TEXT,
        description="Words, or beginnings of words, that question, tags and description contain"
        " together, in any case and without regard to accents; or the beginning of a market's id"
        " (8 hex digits or more), or its address.",
    ),
]
States: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(
        name="state",
        description="Names or numbers of states: repeated, or separated by commas.",
    ),
]
Categories: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(name="category", description="Categories: repeated, or separated by commas."),
]
Tag: TypeAlias = Annotated[
    str | None, QueryParameter(max_length=MAX_TAG, description="A tag, in any case.")
]
Creator: TypeAlias = Annotated[
    str | None, QueryParameter(description="Address of the creator's wallet.")
]
Resolver: TypeAlias = Annotated[
    str | None, QueryParameter(description="Address of the wallet that proposed the outcome.")
]
Price: TypeAlias = Annotated[
    int | None,
    QueryParameter(ge=0, le=PRECISION, description="A bound of `price_yes`, 9 decimals."),
]
After: TypeAlias = Annotated[
    str | None, QueryParameter(description="At this time or later: ISO 8601 with a UTC offset.")
]
Before: TypeAlias = Annotated[
    str | None, QueryParameter(description="Before this time: ISO 8601 with a UTC offset.")
]
SortBy: TypeAlias = Annotated[
    Sort | None,
    QueryParameter(
        name="sort",
        description="`relevance` is the default with `q`, and needs it; `newest` without. What"
        " `volume_24h` and `trending` sort by is refreshed each minute, see `as_of`.",
    ),
]
OrderBy: TypeAlias = Annotated[
    Direction | None,
    QueryParameter(
        name="order",
        description="Direction of `newest`, `volume`, `volume_24h`, `liquidity` (`desc` by"
        " default) and `ending` (`asc` by default); the other sorts have one.",
    ),
]


class ListParameters(msgspec.Struct, frozen=True):
    """The parameters as a request has them; ``list_query`` checks them."""

    q: str | None = None
    state: list[str] | None = None
    category: list[str] | None = None
    tag: str | None = None
    creator: str | None = None
    resolver: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    created_after: str | None = None
    created_before: str | None = None
    ends_after: str | None = None
    ends_before: str | None = None
    sort: Sort | None = None
    order: Direction | None = None
    limit: int = 20
    offset: int = 0
    cursor: str | None = None


class ListQuery(msgspec.Struct, frozen=True):
    """Which page of which markets a request asks for; equal queries have equal answers."""

    filters: Filters
    sort: Sort
    direction: Direction
    limit: int
    offset: int = 0
    after: Key | None = None

    @property
    def page(self) -> pages.Page:
        """Return the page in the order of its cursors."""
        order = market_search.order(self.sort, self.direction, self.filters.text)
        return pages.Page(order, self.limit, self.offset, self.after)


class _Faults:
    """Collects the invalid fields, to report all of them."""

    def __init__(self) -> None:
        self._found: list[FieldError] = []

    def checked(self, parse: Callable[[], T], default: T) -> T:
        """Return what ``parse`` returns; ``default`` where it reports an invalid field."""
        try:
            return parse()
        except ApiError as error:
            self._found += error.fields
            return default

    def report(self) -> None:
        """Raise ApiError 400 naming all invalid fields, if there is one."""
        if self._found:
            message = "; ".join(f"{one.field}: {one.message}" for one in self._found)
            raise ApiError(400, message, *self._found, code=ErrorCode.INVALID_FIELD)


def rule(given: query_rules.Given) -> None:
    """Raise ApiError 400 naming every parameter that ``list_query`` would refuse."""
    known = {name: given.query[name] for name in given.query.keys() & _NAMES}
    list_query(ListParameters(**known))


_NAMES = frozenset(ListParameters.__struct_fields__)


def list_query(given: ListParameters) -> ListQuery:
    """Return the query that the parameters name.

    Raises:
        ApiError: 400 naming every invalid parameter.
    """
    faults = _Faults()
    filters = _filters(given, faults)
    sort: Sort = faults.checked(lambda: _sort(given.sort, filters.text), "newest")
    direction: Direction = faults.checked(lambda: _direction(sort, given.order), "desc")
    order = market_search.order(sort, direction, filters.text)
    page = faults.checked(
        lambda: pages.requested(order, given.limit, given.offset, given.cursor),
        pages.Page(order, given.limit),
    )
    faults.report()
    return ListQuery(filters, sort, direction, page.limit, page.offset, page.after)


def _filters(given: ListParameters, faults: _Faults) -> Filters:
    text = faults.checked(lambda: _text("q", given.q), None)
    named = _named(text) if text else {}
    nothing: tuple[int, ...] = ()
    unnamed: tuple[str, ...] = ()

    def wallet(field: str, value: str | None) -> bytes | None:
        return faults.checked(lambda: identifiers.wallet(value, field) if value else None, None)

    def time(field: str, value: str | None) -> datetime | None:
        return faults.checked(lambda: moments.utc_time(value, field) if value else None, None)

    created = (
        time("created_after", given.created_after),
        time("created_before", given.created_before),
    )
    ends = time("ends_after", given.ends_after), time("ends_before", given.ends_before)
    return Filters(
        states=faults.checked(lambda: _states(given.state), nothing),
        categories=faults.checked(lambda: _categories(given.category), unnamed),
        tag=faults.checked(lambda: _text("tag", given.tag), None),
        creator=wallet("creator", given.creator),
        resolver=wallet("resolver", given.resolver),
        price_min=given.price_min,
        price_max=given.price_max,
        created_after=_seconds(created[0]),
        created_before=_seconds(created[1]),
        ends_after=_microseconds(ends[0]),
        ends_before=_microseconds(ends[1]),
        text=text,
        **named,
    )


def _values(field: str, given: Sequence[str] | None) -> list[str]:
    """Return the different values of a parameter that is repeated or separated by commas."""
    parts = (part.strip() for text in given or () for part in text.split(","))
    values = sorted({part for part in parts if part})
    if len(values) > MAX_VALUES:
        raise invalid(field, f"must have at most {MAX_VALUES} values")
    return values


def _states(given: Sequence[str] | None) -> tuple[int, ...]:
    return tuple(
        sorted(
            {
                number
                for text in _values("state", given)
                if (number := parse_state(text)) is not None
            }
        )
    )


def _categories(given: Sequence[str] | None) -> tuple[str, ...]:
    values = _values("category", given)
    if not set(values) <= set(_CATEGORIES):
        raise invalid("category", f"must be one of {', '.join(_CATEGORIES)}")
    return tuple(values)


def _text(field: str, given: str | None) -> str | None:
    """Return the trimmed text in normalization form C; None where nothing is left."""
    if given is None:
        return None
    if "\x00" in given:
        raise invalid(field, "must not contain NUL characters")
    return unicodedata.normalize("NFC", given).strip() or None


def _named(text: str) -> dict[str, bytes]:
    """Return the filters for a market that the text names by its address or its id."""
    if _ID_DIGITS.fullmatch(text):
        return {
            "id_from": bytes.fromhex(text.ljust(64, "0")),
            "id_to": bytes.fromhex(text.ljust(64, "f")),
        }
    if _BASE58.fullmatch(text):
        try:
            return {"key": identifiers.market_key(text)}
        except ApiError:
            return {}
    return {}


def _seconds(moment: datetime | None) -> int | None:
    """Return whole seconds since 1970, rounded up: the first that is not before the moment."""
    return None if moment is None else -((_EPOCH - moment) // timedelta(seconds=1))


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _sort(given: Sort | None, text: str | None) -> Sort:
    if given is None:
        return "relevance" if text else "newest"
    if given == "relevance" and not text:
        raise invalid("sort", "relevance needs q")
    return given


def _direction(sort: Sort, given: Direction | None) -> Direction:
    allowed = market_search.DIRECTIONS[sort]
    if given is None:
        return allowed[0]
    if given not in allowed:
        raise invalid("order", f"must be {allowed[0]} where sort is {sort}")
    return given
