"""Markets with the question that belongs to them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import open_votes
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables import community, market
from zmart_pipelines.store.tables.base import BYTES
from zmart_pipelines.store.tables.listings import listings

_markets = market.markets
_drafts = community.market_drafts

# Only a draft whose market was seen on chain speaks for the market.
MATCHED = (_drafts.c.market_id == _markets.c.market_id) & _drafts.c.matched_at.isnot(None)

QUESTION: ColumnElement[str] = func.coalesce(
    _drafts.c.question,
    literal("Market ") + func.left(func.encode(_markets.c.market_id, "hex"), 8),
)


class ProjectedMarket(msgspec.Struct, frozen=True):
    """One market's projection (``store.tables.market``): what the chain says of it.

    The counts of the vote that is open, if one is, are those of ``store.queries.open_votes``.
    """

    market_id: bytes
    address: bytes
    creator: bytes
    state: int
    b_parameter: int
    initial_liquidity: int
    current_liquidity: int
    shares_yes: int
    shares_no: int
    total_volume: int
    created_at: int
    approved_at: int
    activated_at: int
    resolution_proposed_at: int
    resolved_at: int
    finalized_at: int
    resolver: bytes | None
    proposed_outcome: bool | None
    final_outcome: bool | None
    question_hash: str | None
    evidence_hash: str | None
    dispute_initiated_at: int
    dispute_initiator: bytes | None
    accumulated_resolver_fees: int
    accumulated_lp_fees: int
    proposal_likes: int
    proposal_dislikes: int
    dispute_agree: int
    dispute_disagree: int
    was_disputed: bool
    cancelled_at: int | None
    price_yes: int
    trades_count: int
    as_of_slot: int
    commitment: str


class Market(ProjectedMarket, frozen=True):
    """One market with its draft's metadata.

    Without a matched draft ``question`` reads ``Market <first 8 of the id>`` and the
    metadata fields are None.
    """

    updated_at: datetime
    question: str
    description: str | None
    category: str | None
    tags: list[str] | None
    ends_at: datetime | None


class MarketKey(msgspec.Struct, frozen=True):
    """A market's place in the list; hand the last one of a page to get the next page."""

    created_at: int
    market_id: bytes


# What every statement about markets reads from.
MARKETS: Final = _markets.outerjoin(_drafts, MATCHED)


_COUNTS_OF_VOTES: Final = frozenset(chain.from_iterable(open_votes.COLUMNS.values()))


def _column(field: str) -> ColumnElement[Any]:
    """Return the expression of a field of ``Market``."""
    if field == "question":
        return QUESTION
    if field == "commitment":
        return cast(_markets.c.commitment, Text)
    if field in _COUNTS_OF_VOTES:
        return open_votes.column_of(field)
    return _markets.c[field] if field in _markets.c else _drafts.c[field]


def columns(prefix: str = "") -> list[ColumnElement[Any]]:
    """Return the columns of ``Market`` in the order of its fields.

    They are those of ``MARKETS``, in a statement ``open_votes.with_counts``.
    """
    return [_column(field).label(prefix + field) for field in Market.__struct_fields__]


def _select() -> Select[Any]:
    return open_votes.with_counts(select(*columns()).select_from(MARKETS))


def _filters(
    state: int | None,
    category: str | None,
    creator: bytes | None,
    text: str | None,
) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if state is not None:
        where.append(_markets.c.state == state)
    if category is not None:
        where.append(_drafts.c.category == category)
    if creator is not None:
        where.append(_markets.c.creator == creator)
    if text:
        where.append(
            or_(
                QUESTION.icontains(text, autoescape=True),
                _drafts.c.description.icontains(text, autoescape=True),
            )
        )
    return where


def find_markets(
    conn: Connection,
    *,
    state: int | None = None,
    category: str | None = None,
    creator: bytes | None = None,
    text: str | None = None,
    limit: int = 20,
    offset: int = 0,
    after: MarketKey | None = None,
) -> list[Market]:
    """Markets that match, newest first (by chain time, then id).

    Args:
        text: Substring of question or description, case-insensitive.
        after: The last market of the page before; steadier than ``offset``.
    """
    statement = _select().where(*_filters(state, category, creator, text))
    if after is not None:
        statement = statement.where(
            tuple_(_markets.c.created_at, _markets.c.market_id)
            < tuple_(literal(after.created_at), literal(after.market_id))
        )
    statement = statement.order_by(_markets.c.created_at.desc(), _markets.c.market_id.desc())
    return many(Market, conn.execute(statement.limit(limit).offset(offset)))


def count(
    conn: Connection,
    *,
    state: int | None = None,
    category: str | None = None,
    creator: bytes | None = None,
    text: str | None = None,
) -> int:
    """How many markets match (all pages)."""
    statement = (
        select(func.count()).select_from(MARKETS).where(*_filters(state, category, creator, text))
    )
    return conn.execute(statement).scalar_one()


# Statements with many columns take longer to make than to execute: they are made once.
_KEY: Final = bindparam("key", type_=BYTES)
_BY_ID: Final = _select().where(_markets.c.market_id == _KEY)
_BY_IDS: Final = _select().where(_markets.c.market_id == any_(bindparam("ids", type_=ARRAY(BYTES))))
_BY_ADDRESS: Final = _select().where(_markets.c.address == _KEY)
# An id comes before an address.
_ID_OF: Final = (
    select(_markets.c.market_id)
    .where(or_(_markets.c.market_id == _KEY, _markets.c.address == _KEY))
    .order_by(_markets.c.market_id != _KEY)
    .limit(1)
)


def get(conn: Connection, market_id: bytes) -> Market | None:
    """Return the market with this id."""
    row = conn.execute(_BY_ID, {"key": market_id}).one_or_none()
    return None if row is None else one(Market, row)


def by_ids(conn: Connection, market_ids: Sequence[bytes]) -> dict[bytes, Market]:
    """Return the markets with these ids by id; an unknown one is absent."""
    rows = many(Market, conn.execute(_BY_IDS, {"ids": market_ids}))
    return {row.market_id: row for row in rows}


def get_by_address(conn: Connection, address: bytes) -> Market | None:
    """Return the market whose account has this address."""
    row = conn.execute(_BY_ADDRESS, {"key": address}).one_or_none()
    return None if row is None else one(Market, row)


def id_of(conn: Connection, key: bytes) -> bytes | None:
    """Return the id of the market that ``resolve`` returns, without reading the rest of it."""
    found: bytes | None = conn.execute(_ID_OF, {"key": key}).scalar_one_or_none()
    return found


def ids_of(conn: Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the id of each known market by its key, which is its id or its address."""
    rows = conn.execute(
        select(_markets.c.market_id, _markets.c.address).where(
            or_(_markets.c.market_id.in_(keys), _markets.c.address.in_(keys))
        )
    ).all()
    found = {row.market_id: row.market_id for row in rows}
    return found | {row.address: row.market_id for row in rows}


def resolve(conn: Connection, key: bytes) -> Market | None:
    """Return the market with this id or, where none has it, at this address (both are 32 bytes)."""
    return get(conn, key) or get_by_address(conn, key)


def counts_by_state(conn: Connection) -> dict[int, int]:
    """How many markets are in each state; states without a market are absent."""
    rows = conn.execute(select(_markets.c.state, func.count()).group_by(_markets.c.state))
    return {row[0]: row[1] for row in rows}


class Category(msgspec.Struct, frozen=True):
    """A category and its markets that are neither final nor cancelled, and all of them."""

    category: str
    markets: int
    open_markets: int
    created_last_day: int
    created_day_before: int
    volume_last_day: int
    volume_day_before: int


def categories(conn: Connection, now: int) -> list[Category]:
    """Categories that have markets, the fullest first; volumes in lamports.

    Args:
        now: Chain seconds; the end of the last day.
    """
    day = 86_400
    created = _markets.c.created_at
    traded = market.trades.c.traded_at
    # One row per market, so that no market is counted twice.
    volumes = (
        select(
            market.trades.c.market_id,
            func.sum(market.trades.c.cost).filter(traded > now - day).label("last_day"),
            func.sum(market.trades.c.cost).filter(traded <= now - day).label("day_before"),
        )
        .where(traded > now - 2 * day, traded <= now)
        .group_by(market.trades.c.market_id)
        .subquery("volumes")
    )
    statement = (
        select(
            _drafts.c.category,
            func.count().label("markets"),
            func.count()
            .filter(_markets.c.state < MarketState.FINALIZED.value)
            .label("open_markets"),
            func.count().filter(created > now - day).label("created_last_day"),
            func.count()
            .filter(created > now - 2 * day, created <= now - day)
            .label("created_day_before"),
            func.coalesce(func.sum(volumes.c.last_day), 0).label("volume_last_day"),
            func.coalesce(func.sum(volumes.c.day_before), 0).label("volume_day_before"),
        )
        .select_from(
            _markets.join(_drafts, MATCHED).outerjoin(
                volumes, volumes.c.market_id == _markets.c.market_id
            )
        )
        .group_by(_drafts.c.category)
        .order_by(func.count().desc(), _drafts.c.category)
    )
    return many(Category, conn.execute(statement))


class RelatedMarket(msgspec.Struct, frozen=True):
    """A market like another one."""

    market_id: bytes
    question: str
    category: str | None
    price_yes: int
    category_match: bool


def related(conn: Connection, market_id: bytes, *, limit: int = 3) -> list[RelatedMarket]:
    """Other open markets: of the same category first, then with a tag in common, then by volume."""
    own = (
        select(_drafts.c.category)
        .where(_drafts.c.market_id == market_id, _drafts.c.matched_at.isnot(None))
        .scalar_subquery()
    )
    match = func.coalesce(_drafts.c.category == own, False)
    own_tags = select(listings.c.tags).where(listings.c.market_id == market_id).scalar_subquery()
    statement = (
        select(
            _markets.c.market_id,
            QUESTION.label("question"),
            _drafts.c.category,
            _markets.c.price_yes,
            match.label("category_match"),
        )
        .select_from(MARKETS.join(listings, listings.c.market_id == _markets.c.market_id))
        .where(_markets.c.market_id != market_id, _markets.c.state < MarketState.FINALIZED.value)
        .order_by(
            match.desc(),
            listings.c.tags.overlap(own_tags).desc(),
            _markets.c.total_volume.desc(),
            _markets.c.market_id,
        )
        .limit(limit)
    )
    exists = conn.execute(
        select(_markets.c.market_id).where(_markets.c.market_id == market_id)
    ).one_or_none()
    return [] if exists is None else many(RelatedMarket, conn.execute(statement))


def questions(conn: Connection, market_ids: Sequence[bytes]) -> dict[bytes, str]:
    """Return the questions of these markets, by id."""
    rows = conn.execute(
        select(_markets.c.market_id, QUESTION)
        .select_from(MARKETS)
        .where(_markets.c.market_id.in_(market_ids))
    )
    return {row[0]: row[1] for row in rows}


def last_chain_time(conn: Connection) -> int:
    """Return the latest chain second that a creation or a trade names (0: none)."""
    trades = market.trades
    created: int | None = conn.execute(select(func.max(_markets.c.created_at))).scalar_one()
    traded: int | None = conn.execute(
        select(trades.c.traded_at)
        .order_by(trades.c.slot.desc(), trades.c.index_in_block.desc(), trades.c.log_index.desc())
        .limit(1)
    ).scalar_one_or_none()
    return max(created or 0, traded or 0)


def chain_now(conn: Connection) -> int:
    """Return the chain second at which the last 24 hours end: now, or the chain's time if later."""
    return max(int(time.time()), last_chain_time(conn))


Role: TypeAlias = Literal["creator", "resolver", "dispute_initiator"]

NEWEST: Final = Order(
    "newest",
    (
        KeyColumn("created_at", _markets.c.created_at, descending=True),
        KeyColumn("market_id", _markets.c.market_id, descending=True),
    ),
)


def markets_of_wallet(
    conn: Connection,
    wallet: bytes,
    role: Role,
    *,
    after: Key | None,
    limit: int,
    offset: int = 0,
) -> list[Market]:
    """Return a page of the markets that a wallet created, resolved or disputed, in ``NEWEST``."""
    statement = _select().where(_markets.c[role] == wallet)
    paged = NEWEST.page(statement, after=after, limit=limit, offset=offset)
    return many(Market, conn.execute(paged))


def count_of_wallet(conn: Connection, wallet: bytes, role: Role) -> int:
    """Return the number of markets that a wallet created, resolved or disputed."""
    return conn.execute(
        select(func.count()).select_from(_markets).where(_markets.c[role] == wallet)
    ).scalar_one()
