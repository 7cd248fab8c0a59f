"""Which markets a list shows, in which order: filters, full-text search, sorts, pages.

A list is named by its *shape*: which filters it has, its sort, whether a page continues after a
key. Each shape has one statement, whose values are named parameters, so that a reader may compile
and prepare it once.

A sort consists of tiers, one after another, each with a rank of its own and its own index: markets
with an end before those without one, for example. A key is the tier, the rank and the id. A tier
is read on its own, as far as the page reaches, so that the cost of a page depends neither on the
number of markets nor on its place in the list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    SmallInteger,
    Text,
    and_,
    any_,
    bindparam,
    case,
    collate,
    column,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.types import TypeEngine

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import market_counts, markets
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.tables import market, statistics, voting
from zmart_pipelines.store.tables.base import U64
from zmart_pipelines.store.tables.listings import listings

Sort: TypeAlias = Literal[
    "newest",
    "ending",
    "volume",
    "volume_24h",
    "liquidity",
    "trending",
    "closest_vote",
    "relevance",
]
Direction: TypeAlias = Literal["asc", "desc"]

# The directions of each sort, its default first. The others have one that makes sense.
DIRECTIONS: Final[dict[Sort, tuple[Direction, ...]]] = {
    "newest": ("desc", "asc"),
    "ending": ("asc", "desc"),
    "volume": ("desc", "asc"),
    "volume_24h": ("desc", "asc"),
    "liquidity": ("desc", "asc"),
    "trending": ("desc",),
    "closest_vote": ("asc",),
    "relevance": ("desc",),
}
# What these are sorted by is refreshed each minute.
SORTED_BY_STATISTICS: Final = frozenset({"volume_24h", "trending"})
COUNT_CAP: Final = 1_000
# If a search matches more markets than this, the list scans the markets in the order of the sort
# and tests each, instead of sorting the matches (``FEW``) or counting them (``FEW_COUNTED``).
FEW: Final = 1_000
FEW_COUNTED: Final = 10_000
# If so many of the first matches of a search belong to a part of its order, the part is scanned
# likewise; otherwise its markets are looked up.
COMMON: Final = 250
# If more than a quarter of so many newest markets match, the text is not looked up in the index.
SAMPLE: Final = 100

_markets = market.markets
_statistics = statistics.market_statistics
_tallies = voting.tallies
_LISTED = listings.c.market_id == _markets.c.market_id


class Filters(msgspec.Struct, frozen=True):
    """What a list is restricted to; None (or an empty tuple) does not restrict.

    Attributes:
        states: Numbers of ``MarketState``.
        tag: In any case.
        price_min: 9 decimals; both bounds belong to the range.
        created_after: Chain seconds; the range includes it, and excludes ``created_before``.
        ends_after: Microseconds since 1970, likewise. Markets without an end are in no range.
        text: Words, or beginnings of words, that a market's texts all contain.
        key: Id or address of the market that ``text`` may name, 32 bytes.
        id_from: The least id that begins with the hex digits that ``text`` may be.
        id_to: The greatest such id.
    """

    states: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    tag: str | None = None
    creator: bytes | None = None
    resolver: bytes | None = None
    price_min: int | None = None
    price_max: int | None = None
    created_after: int | None = None
    created_before: int | None = None
    ends_after: int | None = None
    ends_before: int | None = None
    text: str | None = None
    key: bytes | None = None
    id_from: bytes | None = None
    id_to: bytes | None = None

    def given(self) -> dict[str, Any]:
        """Return the filters that restrict, as values of the statements' parameters."""
        values: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None or value == ():
                continue
            if isinstance(value, tuple):
                # One value is compared as such, which the planner estimates better.
                values |= {_SINGULAR[name]: value[0]} if len(value) == 1 else {name: list(value)}
            else:
                values[name] = value
        return values


_SINGULAR: Final = {"states": "state", "categories": "category"}


class Shape(msgspec.Struct, frozen=True):
    """What one statement is made for.

    Attributes:
        filters: Names of the parameters that ``Filters.given`` returns.
        limit: A constant, because plans depend on it.
        offset: Whether there is a parameter ``offset``.
        after_tier: Tier of the key after which the page begins, if it does.
    """

    filters: frozenset[str]
    sort: Sort = "newest"
    direction: Direction = "desc"
    limit: int = 20
    offset: bool = False
    after_tier: int | None = None


_PARAMETERS: Final[dict[str, TypeEngine[Any]]] = {
    "state": SmallInteger(),
    "states": ARRAY(SmallInteger()),
    "category": Text(),
    "categories": ARRAY(Text()),
    "tag": Text(),
    "creator": LargeBinary(),
    "resolver": LargeBinary(),
    "price_min": BigInteger(),
    "price_max": BigInteger(),
    "created_after": BigInteger(),
    "created_before": BigInteger(),
    "ends_after": BigInteger(),
    "ends_before": BigInteger(),
    "text": Text(),
    "key": LargeBinary(),
    "id_from": LargeBinary(),
    "id_to": LargeBinary(),
    "after_id": LargeBinary(),
    "offset": BigInteger(),
}


def _given(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=_PARAMETERS[name], required=True)


_FILTERS: Final[dict[str, Callable[[FromClause], ColumnElement[bool]]]] = {
    "state": lambda rows: rows.c.state == _given("state"),
    "states": lambda rows: rows.c.state == any_(_given("states")),
    "category": lambda rows: rows.c.category == _given("category"),
    "categories": lambda rows: rows.c.category == any_(_given("categories")),
    "tag": lambda _: listings.c.tags.contains(
        func.array_append(
            literal_column("'{}'::text[]"),
            # Compared as the index does.
            collate(func.lower(collate(_given("tag"), "pg_c_utf8")), "default"),
        )
    ),
    "creator": lambda _: _markets.c.creator == _given("creator"),
    "resolver": lambda _: _markets.c.resolver == _given("resolver"),
    "price_min": lambda _: _markets.c.price_yes >= _given("price_min"),
    "price_max": lambda _: _markets.c.price_yes <= _given("price_max"),
    "created_after": lambda rows: rows.c.created_at >= _given("created_after"),
    "created_before": lambda rows: rows.c.created_at < _given("created_before"),
    "ends_after": lambda _: listings.c.ends_at >= _given("ends_after"),
    "ends_before": lambda _: listings.c.ends_at < _given("ends_before"),
}
_OF_LISTINGS: Final = frozenset({"category", "categories", "tag", "ends_after", "ends_before"})
_OF_MARKETS: Final = frozenset({"creator", "resolver", "price_min", "price_max"})
_OF_TEXT: Final = frozenset({"text", "key", "id_from", "id_to"})
_NARROW: Final = frozenset({"state", "states", "category", "categories", "tag"})


def _conditions(filters: frozenset[str], rows: FromClause) -> list[ColumnElement[bool]]:
    """Return the filters but for the text.

    Args:
        rows: Markets, listings or their counts: where to read columns that several have.
    """
    return [_FILTERS[name](rows) for name in sorted(filters - _OF_TEXT)]


def _finds(words: ColumnElement[Any]) -> ColumnElement[bool]:
    # In a query of its own the text is read once, not once for each row.
    wanted = select(func.market.search_query(_given("text"))).scalar_subquery()
    return words.bool_op("@@")(wanted)


def _names(filters: frozenset[str]) -> list[ColumnElement[bool]]:
    """Return the condition under which the text names a market by its id or address."""
    if "key" in filters:
        found = select(_markets.c.market_id).where(
            or_(_markets.c.market_id == _given("key"), _markets.c.address == _given("key"))
        )
        return [listings.c.market_id == found.scalar_subquery()]
    if "id_from" in filters:
        return [listings.c.market_id.between(_given("id_from"), _given("id_to"))]
    return []


class _Tier(msgspec.Struct, frozen=True):
    """A part of a sort.

    Attributes:
        rank: A column: what the part is sorted by, then by id, both in one direction.
        where: Which markets belong to it.
        narrow: Conditions on the listing of which the planner cannot know how many markets meet
            them: a text, or several filters together.
        vote: Whether the market's open vote is joined.
    """

    rank: ColumnElement[Any]
    descending: bool
    where: tuple[ColumnElement[bool], ...] = ()
    narrow: tuple[ColumnElement[bool], ...] = ()
    vote: bool = False


# The vote that a market's state is about, while it is open.
_OPEN_VOTE: Final = and_(
    _tallies.c.market_id == _markets.c.market_id,
    _tallies.c.status == "open",
    or_(
        and_(_tallies.c.kind == "proposal", _markets.c.state == MarketState.PROPOSED.value),
        and_(_tallies.c.kind == "dispute", _markets.c.state == MarketState.DISPUTED.value),
    ),
    _tallies.c.votes_for + _tallies.c.votes_against > 0,
)


def _open_vote(filters: frozenset[str]) -> ColumnElement[bool]:
    if "state" not in filters:
        return _OPEN_VOTE
    # Follows from the rest, which the planner does not see: no other kind need be read.
    kind = case(
        (_given("state") == MarketState.PROPOSED.value, "proposal"),
        (_given("state") == MarketState.DISPUTED.value, "dispute"),
    )
    return and_(_OPEN_VOTE, _tallies.c.kind == kind)


def _created(shape: Shape) -> ColumnElement[Any]:
    """Return the time of creation from the table whose indexes the list needs."""
    return (listings if _listed(shape.filters) else _markets).c.created_at


def _ending(shape: Shape) -> list[_Tier]:
    ends = listings.c.ends_at
    return [
        _Tier(ends, shape.direction == "desc", (ends.isnot(None),)),
        _Tier(listings.c.created_at, True, (ends.is_(None),)),
    ]


def _closest_vote(shape: Shape) -> list[_Tier]:
    without = not_(exists(literal_column("1")).where(_OPEN_VOTE).correlate(_markets))
    return [
        _Tier(_tallies.c.margin, False, vote=True),
        _Tier(_created(shape), True, (without,)),
    ]


def _relevant(filters: frozenset[str]) -> list[ColumnElement[bool]]:
    """Markets that the text names; with all words in the question; in any of their texts."""
    return [*_names(filters), _finds(listings.c.question_words), _finds(listings.c.words)]


def _relevance(shape: Shape) -> list[_Tier]:
    ways = _relevant(shape.filters)
    return [
        _Tier(listings.c.created_at, True, (), (way, *map(not_, ways[:place])))
        for place, way in enumerate(ways)
    ]


@lru_cache(maxsize=64)
def _found(filters: frozenset[str]) -> CTE:
    """Return the markets that a text finds, in no order: all if they are at most ``COUNT_CAP``.

    Their ``tier`` and ``rank`` are those of ``relevance``. The statements of one page and of its
    count share it.
    """
    ways = _relevant(filters)
    tier = case(*((way, place) for place, way in enumerate(ways[:-1])), else_=len(ways) - 1)
    # What is in the question is also in the words of all texts.
    text = or_(_finds(listings.c.words), *_names(filters))
    newest = (
        select(listings.c.words).order_by(listings.c.created_at.desc()).limit(SAMPLE).subquery()
    )
    is_frequent = (
        select(func.count()).select_from(newest).where(_finds(newest.c.words)).scalar_subquery()
        > SAMPLE // 4
    )
    matches = select(
        listings.c.market_id, listings.c.created_at.label("rank"), tier.label("tier")
    ).limit(COUNT_CAP + 1)
    # The index would list most of the table before the first match is returned.
    met = matches.where(text.is_(True), is_frequent).subquery()
    looked_up = matches.where(text, not_(is_frequent)).subquery()
    found = union_all(select(met), select(looked_up)).cte("found")
    return found.prefix_with("MATERIALIZED", dialect="postgresql")


def _by(rank: ColumnElement[Any]) -> Callable[[Shape], list[_Tier]]:
    return lambda shape: [_Tier(rank, shape.direction == "desc")]


_TIERS: Final[dict[Sort, Callable[[Shape], list[_Tier]]]] = {
    "newest": lambda shape: _by(_created(shape))(shape),
    "ending": _ending,
    "volume": _by(_markets.c.total_volume),
    "liquidity": _by(_markets.c.current_liquidity),
    "volume_24h": _by(listings.c.volume_24h),
    "trending": _by(listings.c.trending_score),
    "closest_vote": _closest_vote,
    "relevance": _relevance,
}
_LAMPORTS: Final = frozenset({"volume", "liquidity", "volume_24h", "trending"})


def _tiers(shape: Shape) -> list[_Tier]:
    tiers = _TIERS[shape.sort](shape)
    if shape.sort == "relevance":
        return tiers
    narrow: list[ColumnElement[bool]] = []
    if "text" in shape.filters:
        narrow.append(or_(_finds(listings.c.words), *_names(shape.filters)))
    elif shape.sort != "newest" and len(shape.filters & _NARROW) > 1:
        narrow += _conditions(shape.filters & _NARROW, listings)
    return [msgspec.structs.replace(tier, narrow=tuple(narrow)) for tier in tiers]


def _listed(filters: frozenset[str]) -> bool:
    return bool(filters & (_OF_LISTINGS | _OF_TEXT))


def _rank_type(sort: Sort) -> TypeEngine[Any]:
    return U64() if sort in _LAMPORTS else BigInteger()


def order(sort: Sort, direction: Direction, text: str | None = None) -> Order:
    """Return the order of a list, for its cursors.

    Args:
        text: Of a search, whose ranks are those of these words alone.
    """
    name = f"{sort}:{direction}"
    if sort == "relevance":
        name += ":" + hashlib.blake2b((text or "").encode(), digest_size=6).hexdigest()
    columns = (
        KeyColumn("tier", column("tier", SmallInteger())),
        KeyColumn("rank", column("rank", _rank_type(sort))),
        KeyColumn("market_id", column("market_id", LargeBinary())),
    )
    return Order(name, columns)


def keys(shape: Shape) -> Select[Any]:
    """Return the statement of a page's keys: ``market_id``, ``tier``, ``rank``, in order.

    Lists in the order of the statistics also have ``as_of``: when these were computed, in chain
    seconds.

    Its parameters are those of ``Filters.given``, ``offset``, and the key's ``after_rank`` and
    ``after_id``. Columns of markets and of their matched drafts may be added.
    """
    tiers = list(enumerate(_tiers(shape)))[shape.after_tier or 0 :]
    source = markets.MARKETS
    if len(tiers) == 1 and not tiers[0][1].narrow:
        statement = _rows(*tiers[0], shape, source)
    else:
        parts = [select(part) for part in _in_turn(tiers, shape)]
        if _is_plain_search(shape):
            parts.append(_all_found(shape))
        page = union_all(*parts).subquery("page")
        statement = (
            select(page.c.market_id, page.c.tier, page.c.rank)
            .select_from(page.join(source, page.c.market_id == _markets.c.market_id))
            .order_by(page.c.tier, page.c.place)
        )
    if shape.sort in SORTED_BY_STATISTICS:
        computed = select(func.max(_statistics.c.as_of)).scalar_subquery()
        statement = statement.add_columns(computed.label("as_of"))
    statement = statement.limit(shape.limit)
    return statement.offset(_given("offset")) if shape.offset else statement


def _is_plain_search(shape: Shape) -> bool:
    return shape.sort == "relevance" and not shape.filters - _OF_TEXT


def _all_found(shape: Shape) -> Select[Any]:
    """Return the rows of a search that finds few markets, which are sorted as they are."""
    found = _found(shape.filters)
    tier, rank, market_id = found.c.tier, found.c.rank, found.c.market_id
    place = func.row_number().over(order_by=[tier, rank.desc(), market_id.desc()])
    statement = (
        select(market_id, tier, rank, place.label("place"))
        .where(_number(found) <= FEW)
        .order_by(tier, rank.desc(), market_id.desc())
        .limit(_reach(shape))
    )
    if shape.after_tier is not None:
        after = or_(
            rank < _after_rank(shape),
            and_(rank == _after_rank(shape), market_id < _given("after_id")),
        )
        number = literal_column(str(shape.after_tier), SmallInteger())
        statement = statement.where(or_(tier > number, and_(tier == number, after)))
    return select(statement.subquery())


def _in_turn(tiers: Sequence[tuple[int, _Tier]], shape: Shape) -> list[CTE]:
    """Return the rows of each tier that a page may need, with their ``place`` in the tier.

    A tier is read only if those before it do not fill the page.
    """
    reach = _reach(shape)
    read: list[CTE] = []
    for number, tier in tiers:
        lacking = [sum(map(_number, read), literal_column("0")) < reach] if read else []
        parts = [
            part.where(*lacking, *gate).limit(reach).subquery()
            for part, gate in _ways(number, tier, shape)
        ]
        rows = union_all(*map(select, parts)).subquery()
        order = [
            one.desc() if tier.descending else one.asc() for one in (rows.c.rank, rows.c.market_id)
        ]
        place = func.row_number().over(order_by=order).label("place")
        read.append(select(rows, place).cte(f"tier_{number}"))
    return read


def _reach(shape: Shape) -> ColumnElement[int]:
    """Return how many rows from the beginning, or from the key on, a page may need."""
    limit: ColumnElement[int] = literal_column(str(shape.limit), BigInteger())
    return limit + _given("offset") if shape.offset else limit


def _number(rows: FromClause) -> ColumnElement[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _ways(
    number: int, tier: _Tier, shape: Shape
) -> list[tuple[Select[Any], list[ColumnElement[bool]]]]:
    """Return the statements of a tier's rows, each with the condition under which it is run.

    Which of two ways is fast depends on how many markets the narrow conditions leave: few are
    sorted; of many, the first in the tier's order are soon met.
    """
    if not tier.narrow:
        return [(_rows(number, tier, shape, _markets), [])]
    few = _few(tier.narrow, FEW, f"few_{number}")
    found = _rows(number, tier, shape, few.join(_markets, few.c.market_id == _markets.c.market_id))
    # A condition in this form is not looked up in an index.
    met = _rows(number, tier, shape, _markets).where(*(one.is_(True) for one in tier.narrow))
    if not _is_plain_search(shape):
        return [(found, [_number(few) <= FEW]), (met, [_number(few) > FEW])]
    first = _found(shape.filters)
    are_many = _number(first) > FEW
    of_tier = (
        select(func.count())
        .select_from(first)
        .where(first.c.tier == literal_column(str(number), SmallInteger()))
        .scalar_subquery()
    )
    return [
        (found, [are_many, of_tier <= COMMON, _number(few) <= FEW]),
        (met, [are_many, or_(of_tier > COMMON, _number(few) > FEW)]),
    ]


def _few(conditions: Sequence[ColumnElement[bool]], most: int, name: str) -> CTE:
    """Return the ids of the markets whose listings meet the conditions, at most ``most`` + 1."""
    statement = select(listings.c.market_id).where(*conditions).limit(most + 1)
    return statement.cte(name).prefix_with("MATERIALIZED", dialect="postgresql")


def _rows(number: int, tier: _Tier, shape: Shape, source: FromClause) -> Select[Any]:
    """Return the rows of a tier in order, from the key on if it is the key's tier."""
    own = tier.rank.table.c.market_id
    listed = _listed(shape.filters) or tier.rank.table is listings
    if tier.vote:
        source = source.join(_tallies, _open_vote(shape.filters))
    if listed:
        source = source.join(listings, _LISTED)
    ordered = Order(
        shape.sort,
        (
            KeyColumn("rank", tier.rank, descending=tier.descending),
            KeyColumn("market_id", own, descending=tier.descending),
        ),
    )
    statement = (
        select(
            own.label("market_id"),
            literal_column(str(number), SmallInteger()).label("tier"),
            tier.rank.label("rank"),
        )
        .select_from(source)
        .where(*tier.where, *_conditions(shape.filters, listings if listed else _markets))
    )
    if shape.after_tier == number:
        key = (_after_rank(shape), _given("after_id"))
        statement = statement.where(ordered.after(key))
    return ordered.sorted(statement)


def _after_rank(shape: Shape) -> BindParameter[Any]:
    return bindparam("after_rank", type_=_rank_type(shape.sort), required=True)


def total(filters: frozenset[str]) -> Select[Any]:
    """Return the statement of the number of markets on all pages, at most ``COUNT_CAP`` + 1.

    Lists that are restricted by state and category alone are counted to the end.
    """
    if not filters - _COUNTED:
        return market_counts.total(*_conditions(filters, market.market_counts))
    if "text" not in filters:
        return _number_of(_matching(filters))
    text = or_(_finds(listings.c.words), *_names(filters))
    if not filters - _OF_TEXT:
        return select(func.count()).select_from(_found(filters))
    few = _few([text], FEW_COUNTED, "few")
    found = _matching(filters, few).where(_number(few) <= FEW_COUNTED)
    met = _matching(filters).where(text.is_(True), _number(few) > FEW_COUNTED)
    return _number_of(found, met)


def _number_of(*ways: Select[Any]) -> Select[Any]:
    """Return the statement of the number of rows of all ``ways``, of which one has any."""
    capped = [select(way.limit(COUNT_CAP + 1).subquery()) for way in ways]
    return select(func.count()).select_from(union_all(*capped).subquery())


def _matching(filters: frozenset[str], few: CTE | None = None) -> Select[Any]:
    """Return a row for each market that the filters, but for the text, leave.

    Args:
        few: Ids to restrict them to.
    """
    rows = listings if _listed(filters) else _markets
    source: FromClause = rows
    if few is not None:
        source = few.join(listings, listings.c.market_id == few.c.market_id)
    if rows is listings and filters & _OF_MARKETS:
        source = source.join(_markets, _LISTED)
    statement: Select[Any] = select(literal_column("1").label("one")).select_from(source)
    return statement.where(*_conditions(filters, rows))


_COUNTED: Final = frozenset({"state", "states", "category", "categories"})


def capped(filters: frozenset[str], number: int) -> tuple[int, bool]:
    """Return what to show of a number that ``total`` gave, and whether there are more."""
    more = bool(filters - _COUNTED) and number > COUNT_CAP
    return (COUNT_CAP if more else number), more


def request(
    filters: Filters,
    sort: Sort,
    direction: Direction,
    *,
    limit: int,
    offset: int = 0,
    after: Key | None = None,
) -> tuple[Shape, dict[str, Any]]:
    """Return the shape of a page, and the values of its statement's parameters.

    Args:
        after: Key, in ``order``, of the last market of the page before.
    """
    values = filters.given()
    names = frozenset(values)
    tier = None
    if after is not None:
        tier, values["after_rank"], values["after_id"] = after
    elif offset:
        values["offset"] = offset
    return Shape(names, sort, direction, limit, "offset" in values, cast("int", tier)), values
