"""Unsigned transactions for trades and resolutions, in the form of older clients.

The user's wallet signs and sends them; their effects appear once the ledger has ingested them.
``prepared_transactions`` has the same acts, and all others, in one form.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from api.created import locate
from api.database import Database
from api.dependencies import (
    CallerDep,
    ChainDep,
    DatabaseDep,
    MarketPath,
    SettingsDep,
    error_responses,
)
from api.identity import auth, signed_requests
from api.identity.caller import Caller
from api.markets.lookup import require_market_id
from api.markets.trade_quotes import TradeQuote, trade_quote
from api.openapi.security import TRADING
from api.requests import identifiers
from api.requests.bodies import BuyRequest, ResolveRequest, SellRequest, SignedBody
from api.wallet_transactions.answers import (
    TransactionEffects,
    TransactionFee,
    transaction_effects,
    transaction_fee,
    unsigned_act,
)
from zmart_pipelines.chain.rpc_types import Commitment
from zmart_pipelines.chain.wallet_preparation import PreparedAct
from zmart_pipelines.settings import Settings
from zmart_pipelines.wallet_transactions.acts.buy import Buy
from zmart_pipelines.wallet_transactions.acts.resolve import Resolve
from zmart_pipelines.wallet_transactions.acts.sell import Sell
from zmart_pipelines.wallet_transactions.trading import figures_of

_MESSAGE: Final = "Sign and send the transaction"
_ERRORS = error_responses(400, 401, 403, 404, 409, 413, 415)


class PreparedTrade(msgspec.Struct, frozen=True):
    """An unsigned transaction that trades, its quote and its effects."""

    message: str
    market_id: str
    trade_type: str
    outcome: bool
    quote: TradeQuote
    transaction: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    fee_payer: str
    network_fee: TransactionFee
    effects: TransactionEffects


class PreparedResolution(msgspec.Struct, frozen=True):
    """An unsigned transaction that proposes an outcome, and its effects."""

    message: str
    market_id: str
    outcome: bool
    transaction: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    fee_payer: str
    network_fee: TransactionFee
    effects: TransactionEffects


def _trade(act: Buy | Sell, prepared: PreparedAct) -> PreparedTrade:
    market_id = prepared.view.market_id or b""
    return PreparedTrade(
        message=_MESSAGE,
        market_id=market_id.hex(),
        trade_type=act.NAME,
        outcome=act.outcome,
        quote=trade_quote(figures_of(prepared.effects.trade)),
        network_fee=transaction_fee(prepared.fee),
        effects=transaction_effects(prepared),
        **msgspec.structs.asdict(unsigned_act(prepared)),
    )


async def _sender_and_market(
    request: Request[Any, Any, Any],
    database: Database,
    settings: Settings,
    caller: Caller,
    body: SignedBody,
    key: bytes,
) -> tuple[Pubkey, bytes]:
    """Return the wallet that asks and the id of the market that it names.

    Nothing is written here, so a session, a key or a sign-in text is enough: the transaction itself
    needs the wallet's signature.
    """
    sender = auth.identify(request, body, settings, caller)

    def read(conn: Connection) -> bytes:
        if sender.signature is not None:
            signed_requests.require_unused(conn, sender.signature)
        return require_market_id(conn, key)

    return Pubkey.from_bytes(sender.wallet), await database.read(read)


@post(
    "/api/trades/buy",
    tags=["trades"],
    responses=_ERRORS,
    security=TRADING,
)
async def prepare_buy(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    data: JSONBody[BuyRequest],
) -> PreparedTrade:
    """Prepare a transaction that buys shares of one side for at most `max_cost` lamports."""
    key = identifiers.market_key(data.market_id)
    user, market_id = await _sender_and_market(request, database, settings, caller, data, key)
    locate(request, f"/api/markets/{market_id.hex()}")
    act = Buy(outcome=data.outcome, max_cost=data.max_cost, min_shares=data.shares)
    return _trade(act, await chain.run(lambda: chain.prepare(act, user, market_id)))


@post(
    "/api/trades/sell",
    tags=["trades"],
    responses=_ERRORS,
    security=TRADING,
)
async def prepare_sell(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    data: JSONBody[SellRequest],
) -> PreparedTrade:
    """Prepare a transaction that sells shares for at least `min_proceeds` lamports.

    It is simulated first. The deployed program rejects every sale at the payout.
    """
    key = identifiers.market_key(data.market_id)
    user, market_id = await _sender_and_market(request, database, settings, caller, data, key)
    locate(request, f"/api/markets/{market_id.hex()}")
    act = Sell(outcome=data.outcome, shares=data.shares, min_proceeds=data.min_proceeds)
    return _trade(act, await chain.run(lambda: chain.prepare(act, user, market_id)))


@post(
    "/api/markets/{market:str}/resolve",
    status_code=200,
    tags=["trades"],
    responses=_ERRORS,
    security=TRADING,
)
async def prepare_resolution(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    market: MarketPath,
    data: JSONBody[ResolveRequest],
) -> PreparedResolution:
    """Prepare a transaction that proposes the outcome of an active market; any wallet may."""
    key = identifiers.market_key(market, "market")
    user, market_id = await _sender_and_market(request, database, settings, caller, data, key)
    act = Resolve(outcome=data.outcome, ipfs_evidence_hash=data.ipfs_evidence_hash)
    prepared = await chain.run(lambda: chain.prepare(act, user, market_id))
    return PreparedResolution(
        message=_MESSAGE,
        market_id=market_id.hex(),
        outcome=data.outcome,
        network_fee=transaction_fee(prepared.fee),
        effects=transaction_effects(prepared),
        **msgspec.structs.asdict(unsigned_act(prepared)),
    )


HANDLERS = [prepare_buy, prepare_sell, prepare_resolution]
