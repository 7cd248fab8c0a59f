"""Quotes of trades and the depth of a market, without a signature."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import DatabaseDep, MarketPath, error_responses
from api.errors import invalid
from api.markets.lookup import require_market
from api.markets.terms import market_terms
from api.markets.trade_quotes import RefusedTrade, TradeQuote, refused_trade, trade_quote
from api.requests import identifiers, query_rules
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program import quotes
from zmart_pipelines.program.lmsr import Fees
from zmart_pipelines.store.queries.markets import Market, chain_now

Side: TypeAlias = Literal["yes", "no"]
# The largest bound that the validation of parameters knows; no trade comes near it.
MAX_AMOUNT = 2**63 - 1


class FeeRates(msgspec.Struct, frozen=True):
    """The parts of the fee in basis points."""

    protocol: int
    resolver: int
    liquidity_provider: int
    total: int


class SmallestTrade(msgspec.Struct, frozen=True):
    """The smallest trade of this action and side that the program carries out.

    `cost` is a buy's `max_cost` in lamports, `shares` a sale's number of shares (9 decimals);
    the other one is null, and both are where nothing can be traded.
    """

    cost: int | None
    shares: int | None


class MarketQuote(msgspec.Struct, frozen=True):
    """What a trade would cost or bring, and why it would be refused.

    `quote` is null where the program's arithmetic has no result; `refused` is null where the
    program would carry the trade out. Both are set where only the state stands against it: the
    market is not ACTIVE, the protocol is paused, or the shares cannot be paid for.
    """

    market_id: str
    action: quotes.Action
    side: Side
    outcome: bool
    state: formats.StateName
    quote: TradeQuote | None
    refused: RefusedTrade | None
    smallest_trade: SmallestTrade
    fee_rates: FeeRates
    as_of: str
    as_of_slot: int
    commitment: str


def fee_rates(fees: Fees) -> FeeRates:
    """Return the parts of the fee as clients read them."""
    return FeeRates(fees.protocol_bps, fees.resolver_bps, fees.lp_bps, fees.total_bps)


def _quote(
    terms: quotes.Terms,
    action: quotes.Action,
    outcome: bool,
    shares: int | None,
    cost: int,
) -> quotes.Quote:
    """Quote ``shares``, or ``cost`` where they are None."""
    if shares is not None:
        by_shares = quotes.quote_shares if action == "buy" else quotes.quote_sale
        return by_shares(terms, outcome, shares)
    by_cost = quotes.quote_budget if action == "buy" else quotes.quote_proceeds
    return by_cost(terms, outcome, cost)


def _market_quote(
    row: Market,
    terms: quotes.Terms,
    action: quotes.Action,
    side: Side,
    quote: quotes.Quote,
    now: int,
) -> MarketQuote:
    return MarketQuote(
        market_id=row.market_id.hex(),
        action=action,
        side=side,
        outcome=side == "yes",
        state=formats.state_name(terms.state),
        quote=None if quote.figures is None else trade_quote(quote.figures),
        refused=None if quote.refusal is None else refused_trade(quote.refusal),
        smallest_trade=SmallestTrade(
            cost=quote.smallest if action == "buy" else None,
            shares=quote.smallest if action == "sell" else None,
        ),
        fee_rates=fee_rates(terms.fees),
        as_of=formats.as_of(now),
        as_of_slot=row.as_of_slot,
        commitment=row.commitment,
    )


def _one_amount(given: query_rules.Given) -> None:
    # One that is invalid is no None either.
    amounts = {
        name for name in given.names & {"shares", "cost"} if given.query.get(name, "") is not None
    }
    if not amounts:
        raise invalid("shares", "is required, or cost")
    if len(amounts) == 2:
        raise invalid("cost", "must not be given together with shares")


@get(
    "/api/markets/{market:str}/quote",
    tags=["trades"],
    responses=error_responses(400, 404),
    opt=query_rules.stated(_one_amount),
)
async def get_quote(
    database: DatabaseDep,
    market: MarketPath,
    side: Annotated[Side, QueryParameter(description="The side to trade.")],
    action: Annotated[quotes.Action, QueryParameter(description="Buy or sell.")] = "buy",
    shares: Annotated[
        int | None,
        QueryParameter(
            ge=1,
            le=MAX_AMOUNT,
            description="Shares (9 decimals): a buy gets at least, a sale gives exactly these.",
            schema_extra={"examples": [5_000_000_000]},
        ),
    ] = None,
    cost: Annotated[
        int | None,
        QueryParameter(
            ge=0,
            le=MAX_AMOUNT,
            description="Lamports with fees: a buy pays at most, a sale brings at least these.",
            schema_extra={"examples": [1_000_000_000]},
        ),
    ] = None,
) -> MarketQuote:
    """Quote a trade at the market's state in the tables: exactly one of `shares` and `cost`.

    A trade that the program would refuse is a 200 with the reason in `refused`. Nothing is
    reserved: another trade may move the price before yours.
    """
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketQuote:
        row = require_market(conn, key)
        terms = market_terms(conn, row)
        quote = _quote(terms, action, side == "yes", shares, cost or 0)
        return _market_quote(row, terms, action, side, quote, chain_now(conn))

    return await database.read(read)


HANDLERS = [get_quote]
