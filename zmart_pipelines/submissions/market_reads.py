"""Reads of market accounts by id, many in one call; an unreadable one does not affect the rest."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.rpc import MAX_ACCOUNTS, RpcClient
from zmart_pipelines.chain.rpc_types import AccountData, Commitment
from zmart_pipelines.program.accounts import MarketAccount, decode_as
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.codec import DecodeError


class MarketRead(msgspec.Struct, frozen=True):
    """A market account at ``slot``.

    Attributes:
        slot: The slot of the read.
        account: The account, None where there is none or it cannot be decoded.
        fault: Why its bytes cannot be decoded.
    """

    slot: int
    account: MarketAccount | None
    fault: str | None = None


def read_markets(
    rpc: RpcClient,
    program: Pubkey,
    market_ids: Collection[bytes],
    min_context_slot: int | None = None,
) -> dict[bytes, MarketRead]:
    """Read these markets at finalized.

    Raises:
        RpcError, RpcUnavailable, RateLimited: The chain cannot be read.
    """
    ids = sorted(set(market_ids))
    reads: dict[bytes, MarketRead] = {}
    for start in range(0, len(ids), MAX_ACCOUNTS):
        part = ids[start : start + MAX_ACCOUNTS]
        addresses = [market_address(program, market_id)[0] for market_id in part]
        answer = rpc.accounts(addresses, "finalized", min_context_slot)
        for market_id, data in zip(part, answer.value, strict=True):
            reads[market_id] = _market_read(answer.slot, program, data)
    return reads


class NoSuchMarket(ValueError):
    """The text does not name a market; the message says why."""


def read_market_by_name(
    rpc: RpcClient, program: Pubkey, name: str, commitment: Commitment = "finalized"
) -> MarketAccount:
    """Read the market that is named by its id (64 hex digits) or its account's address.

    Raises:
        NoSuchMarket: There is none.
        RpcError, RpcUnavailable, RateLimited: The chain cannot be read.
    """
    text = name.strip()
    try:
        if re.fullmatch("[0-9a-fA-F]{64}", text):
            address = market_address(program, bytes.fromhex(text))[0]
        else:
            address = Pubkey.from_string(text)
    except ValueError:
        raise NoSuchMarket(
            f"market: {text[:80]!r} is neither an id (64 hex digits) nor an address"
        ) from None
    read = _market_read(0, program, rpc.account(address, commitment).value)
    if read.account is None:
        raise NoSuchMarket(
            f"market: {text} is not on chain at {commitment}"
            + (f": {read.fault}" if read.fault else f" under the program {program}")
        )
    return read.account


def _market_read(slot: int, program: Pubkey, data: AccountData | None) -> MarketRead:
    # Anyone can send lamports to an address before the program creates its account.
    if data is None or data.owner != program:
        return MarketRead(slot, None)
    try:
        return MarketRead(slot, decode_as(MarketAccount, data.data))
    except DecodeError as error:
        return MarketRead(slot, None, str(error))
