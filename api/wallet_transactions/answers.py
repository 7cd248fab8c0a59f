"""Prepared transactions as clients read them."""

from __future__ import annotations

import base64

import msgspec
from solders.pubkey import Pubkey

from api.markets.trade_quotes import TradeQuote, trade_quote
from zmart_pipelines.chain.compute_budget import BASE_FEE
from zmart_pipelines.chain.rpc_types import Blockhash, Commitment
from zmart_pipelines.chain.wallet_preparation import COMMITMENT, NetworkFee, PreparedAct
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program.lmsr import LmsrError, price_yes
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.effects import (
    AccountKind,
    Effects,
    Holdings,
    MarketFigures,
    Purpose,
    Transfer,
)


class UnsignedTransaction(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction (base64), valid up to ``last_valid_block_height``.

    A node that is asked to check it at a commitment above ``blockhash_commitment`` may not know the
    blockhash yet.
    """

    transaction: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    fee_payer: str


class TransactionFee(msgspec.Struct, frozen=True):
    """The network's fee in lamports: `signature` and `priority` are its parts.

    `compute_units` were used by the simulation; the transaction has a limit above that, and offers
    `compute_unit_price` micro-lamports per unit of the limit.
    """

    total: int
    signature: int
    priority: int
    compute_units: int
    compute_unit_limit: int
    compute_unit_price: int


class LamportTransfer(formats.ExactIntegers, frozen=True, kw_only=True):
    """Lamports that move from one account to another, and what for."""

    purpose: Purpose
    sender: str
    receiver: str
    lamports: formats.LargeInt


class CreatedAccount(msgspec.Struct, frozen=True):
    """An account that the transaction creates; its rent in lamports is never returned."""

    kind: AccountKind
    address: str
    rent: int


class TransactionEffects(formats.ExactIntegers, frozen=True, kw_only=True):
    """What the transaction did in the simulation.

    `summary` is for people. `lamports_out` leave the wallet, rent and the network's fee included,
    `lamports_in` enter it; `balance_after` is what it holds then. `trade` are the figures of a
    trade, with its fee by receiver. Shares and prices have 9 decimals. States and prices are null
    where there is no market, or no price.
    """

    summary: tuple[str, ...]
    lamports_out: formats.LargeInt
    lamports_in: formats.LargeInt
    balance_before: formats.LargeInt
    balance_after: formats.LargeInt
    shares_yes_change: formats.LargeInt
    shares_no_change: formats.LargeInt
    transfers: tuple[LamportTransfer, ...]
    accounts_created: tuple[CreatedAccount, ...]
    trade: TradeQuote | None
    state_before: formats.StateName | None
    state_after: formats.StateName | None
    price_yes_before: int | None
    price_yes_after: int | None


class PreparedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """An unsigned version-0 transaction (base64) for `fee_payer` to sign, and what it does.

    It was simulated at `simulated_at_slot` and is valid up to `last_valid_block_height`. A node
    that is asked to check it at a commitment above `blockhash_commitment` may not know the
    blockhash yet.
    """

    act: str
    message: str
    market_id: str | None
    on_chain_address: str | None
    transaction: str
    fee_payer: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    network_fee: TransactionFee
    effects: TransactionEffects
    simulated_at_slot: int


def prepared_transaction(act: Act, prepared: PreparedAct) -> PreparedTransaction:
    """Return a prepared act as clients read it."""
    view = prepared.view
    has_market = view.market_id is not None
    return PreparedTransaction(
        act=act.NAME,
        message=f"Sign and send the transaction. {prepared.effects.sentences[0]}",
        market_id=view.market_id.hex() if view.market_id is not None else None,
        on_chain_address=str(view.market_address) if has_market else None,
        network_fee=transaction_fee(prepared.fee),
        effects=transaction_effects(prepared),
        simulated_at_slot=prepared.slot,
        **msgspec.structs.asdict(unsigned_act(prepared)),
    )


def unsigned_transaction(data: bytes, blockhash: Blockhash, wallet: Pubkey) -> UnsignedTransaction:
    """Return a transaction for ``wallet`` to sign as clients read it."""
    return UnsignedTransaction(
        transaction=base64.b64encode(data).decode(),
        blockhash=str(blockhash.hash),
        blockhash_commitment=COMMITMENT,
        last_valid_block_height=blockhash.last_valid_block_height,
        fee_payer=str(wallet),
    )


def unsigned_act(prepared: PreparedAct) -> UnsignedTransaction:
    """Return the transaction of a prepared act alone."""
    return unsigned_transaction(prepared.transaction, prepared.blockhash, prepared.view.wallet)


def transaction_fee(fee: NetworkFee) -> TransactionFee:
    """Return the network's fee as clients read it."""
    return TransactionFee(
        total=fee.total,
        signature=BASE_FEE,
        priority=fee.priority,
        compute_units=fee.units,
        compute_unit_limit=fee.unit_limit,
        compute_unit_price=fee.unit_price,
    )


def transaction_effects(prepared: PreparedAct) -> TransactionEffects:
    """Return a prepared act's effects as clients read them, with the network's fee."""
    view, effects = prepared.view, prepared.effects
    sent = effects.sent(view.wallet) + prepared.fee.total
    received = effects.received(view.wallet)
    balance = view.balance(view.wallet)
    held = Holdings.of(view.position)
    holding = effects.holdings or held
    before = None if view.market is None else MarketFigures.of(view.market)
    after = effects.market or before
    return TransactionEffects(
        summary=effects.sentences,
        lamports_out=sent,
        lamports_in=received,
        balance_before=balance,
        balance_after=balance - sent + received,
        shares_yes_change=holding.shares_yes - held.shares_yes,
        shares_no_change=holding.shares_no - held.shares_no,
        transfers=tuple(_transfer(move) for move in effects.transfers),
        accounts_created=_created(effects),
        trade=None if effects.trade is None else trade_quote(effects.trade),
        state_before=None if before is None else formats.state_name(before.state),
        state_after=None if after is None else formats.state_name(after.state),
        price_yes_before=_price(before),
        price_yes_after=_price(after),
    )


def _transfer(move: Transfer) -> LamportTransfer:
    return LamportTransfer(
        purpose=move.purpose,
        sender=str(move.sender),
        receiver=str(move.receiver),
        lamports=move.lamports,
    )


def _created(effects: Effects) -> tuple[CreatedAccount, ...]:
    return tuple(
        CreatedAccount(account.kind, str(account.address), account.rent)
        for account in effects.created
    )


def _price(market: MarketFigures | None) -> int | None:
    """Return the price of YES; None where the program's arithmetic has none."""
    if market is None:
        return None
    try:
        return price_yes(market.pool)
    except LmsrError:
        return None
