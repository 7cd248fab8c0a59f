"""What decides over a market's trades, as the ledger knows it."""

from __future__ import annotations

from sqlalchemy import Connection

from zmart_pipelines.ledger.model import config_timeline
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lmsr import Fees, Pool
from zmart_pipelines.program.quotes import Terms
from zmart_pipelines.store.queries.configuration import trading_configuration
from zmart_pipelines.store.queries.markets import ProjectedMarket


def market_terms(conn: Connection, row: ProjectedMarket) -> Terms:
    """Return the terms of trades in a market.

    Before the ledger holds a configuration, they are those that the program initializes.
    """
    configuration = trading_configuration(conn) or config_timeline.DEFAULT
    return Terms(
        state=MarketState(row.state),
        pool=Pool(row.b_parameter, row.shares_yes, row.shares_no),
        current_liquidity=row.current_liquidity,
        fees=Fees(
            configuration.protocol_fee_bps,
            configuration.resolver_reward_bps,
            configuration.liquidity_provider_fee_bps,
        ),
        is_paused=configuration.is_paused,
    )
