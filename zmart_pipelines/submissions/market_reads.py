"""Market accounts by their ids, many in one call, each by itself when it cannot be read."""

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
    """A market at finalized ``slot``: its account, None where there is none, or the ``fault``
    for which its bytes could not be read.
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
    """These markets at finalized. Raises what RpcClient raises."""
    wanted = sorted(set(market_ids))
    seen: dict[bytes, MarketRead] = {}
    for start in range(0, len(wanted), MAX_ACCOUNTS):
        part = wanted[start : start + MAX_ACCOUNTS]
        addresses = [market_address(program, market_id)[0] for market_id in part]
        answer = rpc.accounts(addresses, "finalized", min_context_slot)
        for market_id, data in zip(part, answer.value, strict=True):
            seen[market_id] = _seen(answer.slot, program, data)
    return seen


class NoSuchMarket(ValueError):
    """The text names no market; the message says why."""


def read_market_by_name(
    rpc: RpcClient, program: Pubkey, name: str, commitment: Commitment = "finalized"
) -> MarketAccount:
    """The market that people name by its id (64 hex digits) or its account's address.

    NoSuchMarket where there is none. Raises what RpcClient raises.
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
    seen = _seen(0, program, rpc.account(address, commitment).value)
    if seen.account is None:
        raise NoSuchMarket(
            f"market: {text} is not on chain at {commitment}"
            + (f": {seen.fault}" if seen.fault else f" under the program {program}")
        )
    return seen.account


def _seen(slot: int, program: Pubkey, data: AccountData | None) -> MarketRead:
    # Anyone can send lamports to an address before the program creates its account.
    if data is None or data.owner != program:
        return MarketRead(slot, None)
    try:
        return MarketRead(slot, decode_as(MarketAccount, data.data))
    except DecodeError as error:
        return MarketRead(slot, None, str(error))
