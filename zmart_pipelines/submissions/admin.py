"""Transactions that only the admin may sign: prepared here, signed and sent by their wallet.

Each is one of the acts that wallets can do, built from the current state of the chain and simulated
before it is returned. ``update_global_config`` rewrites five values at once and ``emergency_pause``
is a toggle, so that a request that would change nothing is refused.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.wallet_preparation import (
    COMMITMENT,
    ActRefused,
    FeeLimits,
    MarketMissing,
    WalletPreparation,
)
from zmart_pipelines.program.accounts import MarketAccount
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.acts.approve import Approve
from zmart_pipelines.wallet_transactions.acts.cancel import Cancel
from zmart_pipelines.wallet_transactions.acts.pause import Pause
from zmart_pipelines.wallet_transactions.acts.update_config import UpdateConfig

TransactionKind = Literal["approve", "cancel", "update-config", "pause"]

# The highest price per compute unit and fee that are ever offered for these transactions.
_LIMITS: Final = FeeLimits(unit_price=1_000_000, fee=1_000_000)


class PrepareRefused(ValueError):
    """The transaction would fail, change nothing or do harm; the message says why."""


class PreparedTransaction(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction.

    Attributes:
        kind: What was requested.
        transaction: The transaction in base64.
        signer: The address that must sign it, base58.
        description: What it does, in sentences.
        blockhash: Its recent blockhash, base58.
        last_valid_block_height: The last block height at which it can land.
        blocks_left: Blocks until then.
        compute_units: Compute units that the simulation used.
    """

    kind: TransactionKind
    transaction: str
    signer: str
    description: tuple[str, ...]
    blockhash: str
    last_valid_block_height: int
    blocks_left: int
    compute_units: int


def approve(reader: AccountReader, market: MarketAccount) -> PreparedTransaction:
    """Prepare approve_proposal, if the counts on chain are sufficient."""
    return _prepare(reader, "approve", Approve(), market.market_id)


def cancel(reader: AccountReader, market: MarketAccount) -> PreparedTransaction:
    """Prepare cancel_market, for a proposal or an approved market."""
    return _prepare(reader, "cancel", Cancel(), market.market_id)


def pause(reader: AccountReader, *, paused: bool) -> PreparedTransaction:
    """Prepare emergency_pause, unless the protocol is already in the requested state."""
    return _prepare(reader, "pause", Pause(paused=paused))


def update_config(reader: AccountReader, changes: Mapping[str, int]) -> PreparedTransaction:
    """Prepare update_global_config with ``changes``; other values stay as they are.

    Args:
        reader: Reads the configuration.
        changes: New values (basis points, seconds) by the names of ``UpdateConfig``.
    """
    known = UpdateConfig.__struct_fields__
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise PrepareRefused(f"{unknown[0]}: is not one of {', '.join(known)}")
    try:
        act = msgspec.convert(dict(changes), UpdateConfig)
    except msgspec.ValidationError as error:
        raise PrepareRefused(str(error)) from error
    return _prepare(reader, "update-config", act)


def _prepare(
    reader: AccountReader, kind: TransactionKind, act: Act, market_id: bytes | None = None
) -> PreparedTransaction:
    admin = Pubkey.from_bytes(reader.config(COMMITMENT).value.admin)
    try:
        prepared = WalletPreparation(reader.rpc, reader.program, _LIMITS).prepare(
            act, admin, market_id
        )
    except ActRefused as error:
        refusal = error.refusal
        named = "" if refusal.error is None else f"the program would reject it: {refusal.error}. "
        raise PrepareRefused(f"{named}{refusal.message} {refusal.remedy}".rstrip()) from error
    except MarketMissing as error:
        raise PrepareRefused("the market is not on chain") from error
    last_height = prepared.blockhash.last_valid_block_height
    left = max(0, last_height - reader.rpc.block_height(COMMITMENT))
    expiry = (
        f"sign and send it within {left} blocks, up to block height {last_height} (about"
        f" {left * 2 // 5} s on mainnet); after that its blockhash has expired and it must be"
        " prepared again"
    )
    return PreparedTransaction(
        kind=kind,
        transaction=b64encode(prepared.transaction).decode(),
        signer=str(admin),
        description=(
            *prepared.effects.sentences,
            f"must be signed by the admin, {admin}, who pays the fee",
            expiry,
        ),
        blockhash=str(prepared.blockhash.hash),
        last_valid_block_height=last_height,
        blocks_left=left,
        compute_units=prepared.fee.units,
    )
