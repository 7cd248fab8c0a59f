"""Unsigned transactions for trades and resolutions.

The user's wallet signs and sends them; their effects appear once the ledger has ingested them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from api.chain import Chain, UnsignedTransaction
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
from api.error_codes import ErrorCode
from api.errors import ApiError, invalid
from api.identity import auth, signed_requests
from api.identity.caller import Caller
from api.markets.lookup import require_market_id
from api.markets.trade_quotes import TradeQuote, refused_trade, trade_quote
from api.requests import identifiers
from api.requests.bodies import BuyRequest, ResolveRequest, SellRequest, SignedBody
from zmart_pipelines.chain.rpc_types import Commitment
from zmart_pipelines.ipfs.cid import is_cid_v0
from zmart_pipelines.program import instructions, quotes
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.settings import Settings

_ERRORS = error_responses(400, 401, 403, 404, 409, 413, 415)
_SECURITY: list[dict[str, list[str]]] = [{"wallet": []}]


class PreparedTrade(msgspec.Struct, frozen=True):
    """An unsigned transaction that trades, and its quote."""

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


class PreparedResolution(msgspec.Struct, frozen=True):
    """An unsigned transaction that proposes an outcome."""

    message: str
    market_id: str
    outcome: bool
    transaction: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    fee_payer: str


def _figures(quote: quotes.Quote) -> quotes.Figures:
    """Return the quote's figures; raise ApiError 409 with the reason where it is refused.

    Whether a sale can be paid for is left to the simulation, which asks the program itself.
    """
    refusal = quote.refusal
    if refusal is not None and refusal.cause is not quotes.Cause.SALES_FAIL:
        refused = refused_trade(refusal)
        raise ApiError(
            409,
            f"The program would reject this trade: {refused.message}",
            code=refused.code,
            extra={} if refused.program_error is None else {"program_error": refused.program_error},
        )
    if quote.figures is None:
        raise AssertionError("a quote without figures is refused")
    return quote.figures


def _prepared_trade(
    prepared: UnsignedTransaction,
    market_id: bytes,
    trade_type: str,
    outcome: bool,
    figures: quotes.Figures,
) -> PreparedTrade:
    return PreparedTrade(
        message="Sign and send the transaction",
        market_id=market_id.hex(),
        trade_type=trade_type,
        outcome=outcome,
        quote=trade_quote(figures),
        **msgspec.structs.asdict(prepared),
    )


async def _sender_and_market(
    request: Request[Any, Any, Any],
    database: Database,
    settings: Settings,
    caller: Caller,
    body: SignedBody,
    key: bytes,
) -> tuple[bytes, bytes]:
    """Return the wallet that asks and the id of the market that it names.

    Nothing is written here, so a session or a sign-in text is enough: the transaction itself needs
    the wallet's signature.
    """
    sender = auth.identify(request, body, settings, caller)

    def read(conn: Connection) -> bytes:
        if sender.signature is not None:
            signed_requests.require_unused(conn, sender.signature)
        return require_market_id(conn, key)

    return sender.wallet, await database.read(read)


@post(
    "/api/trades/buy",
    tags=["trades"],
    responses=_ERRORS,
    security=_SECURITY,
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

    def prepare() -> PreparedTrade:
        config = chain.config()
        terms = quotes.Terms.of(chain.market(market_id), config)
        figures = _figures(quotes.quote_budget(terms, data.outcome, data.max_cost))
        if data.shares is not None and figures.shares < data.shares:
            raise invalid(
                "max_cost",
                f"buys only {figures.shares} shares at the current price; raise it or lower shares",
                409,
                ErrorCode.SLIPPAGE_EXCEEDED,
            )
        instruction = instructions.buy_shares(
            chain.program,
            user=Pubkey.from_bytes(user),
            market=market_address(chain.program, market_id)[0],
            protocol_fee_wallet=Pubkey.from_bytes(config.protocol_fee_wallet),
            outcome=data.outcome,
            target_cost=data.max_cost,
        )
        prepared = chain.prepare(user, instruction, simulate=True)
        return _prepared_trade(prepared, market_id, "buy", data.outcome, figures)

    return await chain.run(prepare)


@post(
    "/api/trades/sell",
    tags=["trades"],
    responses=_ERRORS,
    security=_SECURITY,
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

    def prepare() -> PreparedTrade:
        config = chain.config()
        terms = quotes.Terms.of(chain.market(market_id), config)
        figures = _figures(quotes.quote_sale(terms, data.outcome, data.shares, data.min_proceeds))
        instruction = instructions.sell_shares(
            chain.program,
            user=Pubkey.from_bytes(user),
            market=market_address(chain.program, market_id)[0],
            protocol_fee_wallet=Pubkey.from_bytes(config.protocol_fee_wallet),
            outcome=data.outcome,
            shares=data.shares,
            min_proceeds=data.min_proceeds,
        )
        prepared = chain.prepare(user, instruction, simulate=True)
        return _prepared_trade(prepared, market_id, "sell", data.outcome, figures)

    return await chain.run(prepare)


def _resolve_instruction(
    chain: Chain, user: bytes, market_id: bytes, data: ResolveRequest
) -> Instruction:
    return instructions.resolve_market(
        chain.program,
        resolver=Pubkey.from_bytes(user),
        market=market_address(chain.program, market_id)[0],
        outcome=data.outcome,
        evidence_hash=data.ipfs_evidence_hash.encode(),
    )


@post(
    "/api/markets/{market:str}/resolve",
    status_code=200,
    tags=["trades"],
    responses=_ERRORS,
    security=_SECURITY,
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
    if not is_cid_v0(data.ipfs_evidence_hash):
        raise invalid("ipfs_evidence_hash", "must be a CIDv0 (Qm and 44 more base58 characters)")
    user, market_id = await _sender_and_market(request, database, settings, caller, data, key)
    prepared = await chain.run(
        lambda: chain.prepare(
            user, _resolve_instruction(chain, user, market_id, data), simulate=True
        )
    )
    return PreparedResolution(
        message="Sign and send the transaction",
        market_id=market_id.hex(),
        outcome=data.outcome,
        **msgspec.structs.asdict(prepared),
    )


HANDLERS = [prepare_buy, prepare_sell, prepare_resolution]
