"""Unsigned transactions for trades and resolutions. The user's wallet signs and sends them;
what they did shows in the tables when the ledger has read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from api import auth, identifiers
from api.chain import Chain, Prepared
from api.dependencies import ChainDep, DatabaseDep, MarketPath, SettingsDep, failures
from api.errors import ApiError, invalid
from api.request_bodies import Buy, Resolve, Sell
from api.routes.markets import existing
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.ipfs.cid import is_cid_v0
from zmart_pipelines.program import instructions, lmsr
from zmart_pipelines.program.addresses import market_address

_FAILURES = failures(400, 401, 403, 404, 409, 413, 415)
_SIGNED: list[dict[str, list[str]]] = [{"wallet": []}]


class Quote(formats.ExactIntegers, frozen=True, kw_only=True):
    """What the trade would do if it were next: shares with 9 decimals, lamports with fees."""

    shares: formats.LargeInt
    total: formats.LargeInt


class TradeAnswer(msgspec.Struct, frozen=True):
    """The unsigned transaction of a trade."""

    message: str
    market_id: str
    trade_type: str
    outcome: bool
    quote: Quote
    transaction: str
    blockhash: str
    last_valid_block_height: int
    fee_payer: str


class ResolveAnswer(msgspec.Struct, frozen=True):
    """The unsigned transaction that proposes an outcome."""

    message: str
    market_id: str
    outcome: bool
    transaction: str
    blockhash: str
    last_valid_block_height: int
    fee_payer: str


def _quote(fill: Callable[[], Quote]) -> Quote:
    try:
        return fill()
    except lmsr.LmsrError as error:
        raise ApiError(
            409, f"The program would refuse this trade: {error}", error=error.code.name
        ) from error


def _trade_answer(
    prepared: Prepared, market_id: bytes, trade_type: str, outcome: bool, quote: Quote
) -> TradeAnswer:
    return TradeAnswer(
        message="Sign and send the transaction",
        market_id=market_id.hex(),
        trade_type=trade_type,
        outcome=outcome,
        quote=quote,
        **msgspec.structs.asdict(prepared),
    )


@post(
    "/api/trades/buy",
    operation_id="prepareBuy",
    tags=["trades"],
    responses=_FAILURES,
    security=_SIGNED,
)
async def buy(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    data: JSONBody[Buy],
) -> TradeAnswer:
    """The transaction that buys shares of one side for at most ``max_cost`` lamports."""
    key = identifiers.market_key(data.market_id)
    user = auth.authenticate(
        request, data.message, data.signature, data.wallet, settings.auth_window_seconds
    )
    market_id = (await database.read(lambda conn: existing(conn, key))).market_id

    def prepare() -> TradeAnswer:
        config, pool = chain.config(), lmsr.Pool.of(chain.market(market_id))

        def fill() -> Quote:
            made = lmsr.buy(pool, data.outcome, data.max_cost, lmsr.Fees.of(config))
            return Quote(shares=made.shares, total=made.total)

        quote = _quote(fill)
        if data.shares is not None and quote.shares < data.shares:
            raise invalid("max_cost", f"buys {quote.shares} shares at the moment", 409)
        instruction = instructions.buy_shares(
            chain.program,
            user=Pubkey.from_bytes(user),
            market=market_address(chain.program, market_id)[0],
            protocol_fee_wallet=Pubkey.from_bytes(config.protocol_fee_wallet),
            outcome=data.outcome,
            target_cost=data.max_cost,
        )
        prepared = chain.prepare(user, instruction, rehearse=True)
        return _trade_answer(prepared, market_id, "buy", data.outcome, quote)

    return await database.in_thread(prepare)


@post(
    "/api/trades/sell",
    operation_id="prepareSell",
    tags=["trades"],
    responses=_FAILURES,
    security=_SIGNED,
)
async def sell(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    data: JSONBody[Sell],
) -> TradeAnswer:
    """The transaction that sells shares, if the program would carry it out now: the
    deployed one refuses every sale when it comes to paying out.
    """
    key = identifiers.market_key(data.market_id)
    user = auth.authenticate(
        request, data.message, data.signature, data.wallet, settings.auth_window_seconds
    )
    market_id = (await database.read(lambda conn: existing(conn, key))).market_id

    def prepare() -> TradeAnswer:
        config, pool = chain.config(), lmsr.Pool.of(chain.market(market_id))

        def fill() -> Quote:
            made = lmsr.sell(
                pool, data.outcome, data.shares, data.min_proceeds, lmsr.Fees.of(config)
            )
            return Quote(shares=data.shares, total=made.net)

        quote = _quote(fill)
        instruction = instructions.sell_shares(
            chain.program,
            user=Pubkey.from_bytes(user),
            market=market_address(chain.program, market_id)[0],
            protocol_fee_wallet=Pubkey.from_bytes(config.protocol_fee_wallet),
            outcome=data.outcome,
            shares=data.shares,
            min_proceeds=data.min_proceeds,
        )
        prepared = chain.prepare(user, instruction, rehearse=True)
        return _trade_answer(prepared, market_id, "sell", data.outcome, quote)

    return await database.in_thread(prepare)


def _resolution(chain: Chain, user: bytes, market_id: bytes, data: Resolve) -> Instruction:
    return instructions.resolve_market(
        chain.program,
        resolver=Pubkey.from_bytes(user),
        market=market_address(chain.program, market_id)[0],
        outcome=data.outcome,
        evidence_hash=data.ipfs_evidence_hash.encode(),
    )


@post(
    "/api/markets/{market:str}/resolve",
    operation_id="prepareResolve",
    status_code=200,
    tags=["trades"],
    responses=_FAILURES,
    security=_SIGNED,
)
async def resolve(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    market: MarketPath,
    data: JSONBody[Resolve],
) -> ResolveAnswer:
    """The transaction by which anyone proposes the outcome of an active market."""
    key = identifiers.market_key(market, "market")
    if not is_cid_v0(data.ipfs_evidence_hash):
        raise invalid("ipfs_evidence_hash", "must be a CIDv0 (46 characters, Qm…)")
    user = auth.authenticate(
        request, data.message, data.signature, data.wallet, settings.auth_window_seconds
    )
    market_id = (await database.read(lambda conn: existing(conn, key))).market_id
    prepared = await database.in_thread(
        lambda: chain.prepare(user, _resolution(chain, user, market_id, data), rehearse=True)
    )
    return ResolveAnswer(
        message="Sign and send the transaction",
        market_id=market_id.hex(),
        outcome=data.outcome,
        **msgspec.structs.asdict(prepared),
    )


HANDLERS = [buy, sell, resolve]
