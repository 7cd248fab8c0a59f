"""Positions, with what they are worth by the program's own payout formula."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select
from sqlalchemy.dialects import postgresql

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.payout import claim_amount, price_weighted
from zmart_pipelines.store.binary_arrays import keys
from zmart_pipelines.store.queries.candles import STALE
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.row_mapping import by_position, many, one
from zmart_pipelines.store.statement_pipeline import Statement
from zmart_pipelines.store.tables import community, market
from zmart_pipelines.store.tables.statistics import market_statistics

Status: TypeAlias = Literal["open", "claimable", "closed"]
SelectT = TypeVar("SelectT", bound=Select[Any])

_positions = market.positions
_markets = market.markets


class Position(msgspec.Struct, frozen=True):
    """What a wallet holds in a market, and the market's figures that value it.

    Shares have 9 decimals, ``total_invested``, ``claimed_amount`` and ``resolver_fees`` (owed by
    the market) are lamports, times chain seconds. ``market_shares_*`` include the b/1000 shares
    without an owner. ``claimed_at`` is None before the claim, ``emptied_at`` before the creator
    has withdrawn the market's liquidity.
    """

    market_id: bytes
    user: bytes
    shares_yes: int
    shares_no: int
    total_invested: int
    trades_count: int
    first_trade_at: int
    last_trade_at: int
    has_claimed: bool
    claimed_amount: int
    as_of_slot: int
    question: str
    category: str | None
    market_address: bytes
    state: int
    price_yes: int
    current_liquidity: int
    market_shares_yes: int
    market_shares_no: int
    final_outcome: bool | None
    finalized_at: int
    resolved_at: int
    b_parameter: int
    initial_liquidity: int
    resolver_fees: int
    claimed_at: int | None
    emptied_at: int | None
    commitment: str

    def payout(self, outcome: bool | None, liquidity: int | None = None) -> int:
        """Lamports that claiming pays when the market ends so (None: invalid, a refund).

        Args:
            outcome: How it ends.
            liquidity: Its counted liquidity in lamports; default: what it is now.
        """
        return claim_amount(
            outcome,
            shares_yes=self.shares_yes,
            shares_no=self.shares_no,
            total_invested=self.total_invested,
            market_shares_yes=self.market_shares_yes,
            market_shares_no=self.market_shares_no,
            current_liquidity=self.current_liquidity if liquidity is None else liquidity,
        )

    @property
    def current_value(self) -> int:
        """Lamports: the claim once final, what was claimed, else both payouts by price."""
        if self.has_claimed:
            return self.claimed_amount
        if self.state == MarketState.FINALIZED:
            return self.payout(self.final_outcome)
        return price_weighted(self.payout(True), self.payout(False), self.price_yes)

    @property
    def open_value(self) -> int:
        """Lamports: ``current_value`` of what is not yet claimed."""
        return 0 if self.has_claimed else self.current_value

    @property
    def settled(self) -> bool:
        """Whether the market is finalized and nothing is left to claim."""
        return self.state == MarketState.FINALIZED and self.open_value == 0

    @property
    def status(self) -> Status:
        """Open, claimable or closed; ``status_is`` says the same in SQL."""
        if self.state == MarketState.FINALIZED:
            return "claimable" if self.open_value > 0 else "closed"
        holds_shares = self.shares_yes > 0 or self.shares_no > 0
        return "open" if holds_shares and self.state != MarketState.CANCELLED else "closed"

    @property
    def final_at(self) -> int | None:
        """When the market was finalized, in chain seconds; None before."""
        if self.state != MarketState.FINALIZED:
            return None
        # A rejected dispute ends a market without MarketFinalized.
        return self.finalized_at or self.resolved_at

    @property
    def closed_by_claim_at(self) -> int | None:
        """When the position was claimed, in chain seconds; None before."""
        if not self.has_claimed:
            return None
        return self.last_trade_at if self.claimed_at is None else self.claimed_at

    def lost_at(self, liquidity: int) -> int | None:
        """When an unclaimed position was settled, in chain seconds; None where it is not.

        Args:
            liquidity: The market's counted liquidity after its last trade, before a withdrawal.
        """
        if self.has_claimed or not self.settled:
            return None
        if self.emptied_at is None or self.payout(self.final_outcome, liquidity) == 0:
            return self.final_at
        return self.emptied_at


class PositionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a position cost and brought, beside its row; amounts in lamports.

    Attributes:
        cost_yes: Average cost of the YES shares held; 0 once claimed or settled; so ``cost_no``.
        proceeds: Of sales.
        realised_pnl: Of sales, of the claim and of the settlement.
        claim_refusal: The error with which the program would refuse a claim now; None: it pays.
    """

    cost_yes: int
    cost_no: int
    proceeds: int
    realised_pnl: int
    claim_refusal: ProgramError | None


# One row at most: a position is claimed once.
_CLAIMED_AT: ColumnElement[int | None] = (
    select(func.max(market.claims.c.claimed_at))
    .where(
        market.claims.c.user == _positions.c.user,
        market.claims.c.market_id == _positions.c.market_id,
    )
    .correlate(_positions)
    .scalar_subquery()
)
_EMPTIED_AT: ColumnElement[int | None] = (
    select(func.min(market.withdrawals.c.withdrawn_at))
    .where(market.withdrawals.c.market_id == _positions.c.market_id)
    .correlate(_positions)
    .scalar_subquery()
)


def _select() -> Select[Any]:
    return select(
        _positions,
        QUESTION.label("question"),
        community.market_drafts.c.category,
        _markets.c.address.label("market_address"),
        _markets.c.state,
        _markets.c.price_yes,
        _markets.c.current_liquidity,
        _markets.c.shares_yes.label("market_shares_yes"),
        _markets.c.shares_no.label("market_shares_no"),
        _markets.c.final_outcome,
        _markets.c.finalized_at,
        _markets.c.resolved_at,
        _markets.c.b_parameter,
        _markets.c.initial_liquidity,
        _markets.c.accumulated_resolver_fees.label("resolver_fees"),
        _CLAIMED_AT.label("claimed_at"),
        _EMPTIED_AT.label("emptied_at"),
        _markets.c.commitment,
    ).select_from(
        _positions.join(_markets, _markets.c.market_id == _positions.c.market_id).outerjoin(
            community.market_drafts, MATCHED
        )
    )


# The same rows for a driver's cursor, of which many pairs of market and wallet are requested.
_OF_HOLDERS: Final = """
SELECT {columns} FROM ({rows}) AS p
JOIN unnest(%b::bytea[], %b::bytea[]) AS requested (market_id, "user") USING (market_id, "user")
""".format(
    columns=", ".join(
        f'p."{name}"' + ("::text" if name == "commitment" else "")
        for name in Position.__struct_fields__
    ),
    rows=_select().compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]  # of SQLAlchemy
        compile_kwargs={"literal_binds": True},
    ),
)


def holders_statement(holders: Collection[tuple[bytes, bytes]]) -> Statement:
    """Build the statement whose rows ``from_row`` reads: the positions of these holders.

    Args:
        holders: Pairs of market id and wallet; those without a position have no row.
    """
    pairs = list(holders)
    return Statement(
        _OF_HOLDERS, (keys([pair[0] for pair in pairs]), keys([pair[1] for pair in pairs]))
    )


def from_row(row: Iterable[Any]) -> Position:
    """Read a row of ``holders_statement``."""
    return by_position(Position, row)


BY_LAST_TRADE = Order(
    "last_trade",
    (
        KeyColumn("last_trade_at", _positions.c.last_trade_at, descending=True),
        KeyColumn("market_id", _positions.c.market_id, descending=True),
    ),
)

_FINAL = _markets.c.state == MarketState.FINALIZED.value


def _wins(held: ColumnElement[Any], outstanding: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the payout of these shares, rounded down, is more than 0."""
    return (outstanding > 0) & (held * _markets.c.current_liquidity >= outstanding)


def status_is(status: Status) -> ColumnElement[bool]:
    """Return the predicate of positions with this status.

    Open: the market is not final and shares are held. Claimable: it is, and the payout formula
    gives something that is not claimed (the program may still refuse to pay it). Closed: all
    others.
    """
    pays = case(
        (_markets.c.final_outcome.is_(None), _positions.c.total_invested > 0),
        (_markets.c.final_outcome, _wins(_positions.c.shares_yes, _markets.c.shares_yes)),
        else_=_wins(_positions.c.shares_no, _markets.c.shares_no),
    )
    claimable = and_(_FINAL, ~_positions.c.has_claimed, pays)
    opened = and_(
        _markets.c.state.not_in([MarketState.FINALIZED.value, MarketState.CANCELLED.value]),
        (_positions.c.shares_yes > 0) | (_positions.c.shares_no > 0),
    )
    return {"open": opened, "claimable": claimable, "closed": ~(opened | claimable)}[status]


def _of_user(statement: SelectT, user: bytes, status: Status | None, state: int | None) -> SelectT:
    statement = statement.where(_positions.c.user == user)
    if status is not None:
        statement = statement.where(status_is(status))
    return statement if state is None else statement.where(_markets.c.state == state)


def of_user(
    conn: Connection,
    user: bytes,
    *,
    status: Status | None = None,
    state: int | None = None,
    after: Key | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Position]:
    """Return a page of a wallet's positions in ``BY_LAST_TRADE``.

    Args:
        status: Only these.
        state: Only positions in markets in this state.
        after: Key of the last position of the page before.
    """
    statement = _of_user(_select(), user, status, state)
    paged = BY_LAST_TRADE.page(statement, after=after, limit=limit, offset=offset)
    return many(Position, conn.execute(paged))


def all_of_user(conn: Connection, user: bytes) -> list[Position]:
    """Return all of a wallet's positions, in no order."""
    return many(Position, conn.execute(_select().where(_positions.c.user == user)))


def count_of_user(
    conn: Connection, user: bytes, *, status: Status | None = None, state: int | None = None
) -> int:
    """Return the number of a wallet's positions."""
    statement = select(func.count()).select_from(
        _positions.join(_markets, _markets.c.market_id == _positions.c.market_id)
    )
    return conn.execute(_of_user(statement, user, status, state)).scalar_one()


def positions_of_market(
    conn: Connection, market_id: bytes, *, limit: int = 100, offset: int = 0
) -> list[Position]:
    """Return a market's positions, the largest investment first."""
    statement = (
        _select()
        .where(_positions.c.market_id == market_id)
        .order_by(_positions.c.total_invested.desc(), _positions.c.user)
    )
    return many(Position, conn.execute(statement.limit(limit).offset(offset)))


def positions_of_markets(conn: Connection, market_ids: Collection[bytes]) -> list[Position]:
    """All positions of these markets, in no order."""
    statement = _select().where(_positions.c.market_id.in_(list(market_ids)))
    return many(Position, conn.execute(statement))


def holders_of_markets(conn: Connection, market_ids: Collection[bytes]) -> set[tuple[bytes, bytes]]:
    """Return who has a position in these markets, as pairs of market id and wallet."""
    if not market_ids:
        return set()
    statement = select(_positions.c.market_id, _positions.c.user).where(
        _positions.c.market_id.in_(list(market_ids))
    )
    return {(row[0], row[1]) for row in conn.execute(statement)}


def stale_positions(conn: Connection, wallet: bytes) -> list[Position]:
    """Return a wallet's positions in markets that changed since their statistics, in no order."""
    statement = (
        _select()
        .outerjoin(market_statistics, market_statistics.c.market_id == _markets.c.market_id)
        .where(_positions.c.user == wallet, STALE)
    )
    return many(Position, conn.execute(statement))


def of_user_in(
    conn: Connection, user: bytes, market_ids: Collection[bytes]
) -> dict[bytes, Position]:
    """Return a wallet's positions in these markets, by market; those without one are absent."""
    statement = _select().where(
        _positions.c.user == user, _positions.c.market_id.in_(list(market_ids))
    )
    return {row.market_id: row for row in many(Position, conn.execute(statement))}


def get(conn: Connection, market_id: bytes, user: bytes) -> Position | None:
    """Return a wallet's position in a market."""
    row = conn.execute(
        _select().where(_positions.c.market_id == market_id, _positions.c.user == user)
    ).one_or_none()
    return None if row is None else one(Position, row)


def holds(conn: Connection, market_id: bytes, user: bytes) -> bool:
    """Whether the wallet has a position with shares in the market."""
    row = conn.execute(
        select(_positions.c.user).where(
            _positions.c.market_id == market_id,
            _positions.c.user == user,
            (_positions.c.shares_yes > 0) | (_positions.c.shares_no > 0),
        )
    ).one_or_none()
    return row is not None
