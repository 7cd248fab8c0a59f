"""Methods that read accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from localnet.accounts import SYSTEM, Account
from localnet.rpc import encoding
from localnet.rpc.encoding import AccountEncoding, DataSlice
from localnet.rpc.errors import invalid
from localnet.rpc.params import (
    Natural,
    Options,
    Params,
    decode_base58,
    decode_bytes,
    pubkey,
    with_context,
)
from localnet.rpc.registry import method

_MAX_ACCOUNTS = 100
_MAX_FILTERS = 4


class AccountOptions(Options, rename="camel"):
    """Options for the representation of accounts."""

    encoding: AccountEncoding | None = None
    data_slice: DataSlice | None = None


class Memcmp(msgspec.Struct):
    """Bytes that the data must hold at an offset."""

    offset: Natural
    bytes: str | list[Annotated[int, msgspec.Meta(ge=0, le=255)]]
    encoding: Literal["base58", "base64"] | None = None


class Filter(msgspec.Struct, rename="camel"):
    """One condition on an account's data."""

    memcmp: Memcmp | None = None
    data_size: Natural | None = None


class ProgramOptions(AccountOptions, rename="camel"):
    """Options of ``getProgramAccounts``."""

    filters: tuple[Filter, ...] = ()
    with_context: bool = False


@method("getBalance")
def get_balance(params: Params) -> Any:
    """Return the balance of an account in lamports."""
    key = bytes(params.pubkey(0))
    tip = params.tip(params.options(1, Options))
    found = params.node.bank.account(key, tip.slot)
    return with_context(tip, found.lamports if found else 0)


@method("getAccountInfo")
def get_account_info(params: Params) -> Any:
    """Return one account or null."""
    key = bytes(params.pubkey(0))
    options = params.options(1, AccountOptions)
    tip = params.tip(options)
    found = params.node.bank.account(key, tip.slot)
    return with_context(tip, encoding.account(key, found, options.encoding, options.data_slice))


@method("getMultipleAccounts")
def get_multiple_accounts(params: Params) -> Any:
    """Return up to 100 accounts as of one slot."""
    names = params.convert(0, list[str])
    if len(names) > _MAX_ACCOUNTS:
        raise invalid(f"Too many inputs provided; max {_MAX_ACCOUNTS}")
    options = params.options(1, AccountOptions)
    tip = params.tip(options)
    keys = [bytes(pubkey(name)) for name in names]
    bank = params.node.bank
    return with_context(
        tip,
        [
            encoding.account(
                key,
                bank.account(key, tip.slot),
                options.encoding or "base64",
                options.data_slice,
            )
            for key in keys
        ],
    )


@method("getProgramAccounts")
def get_program_accounts(params: Params) -> Any:
    """Return the accounts that a program owns, ordered by address."""
    owner = bytes(params.pubkey(0))
    options = params.options(1, ProgramOptions)
    tests = compile_filters(options.filters)
    tip = params.tip(options)
    if owner == SYSTEM:
        raise invalid("the accounts of the system program are not indexed")
    rows = [
        {
            "pubkey": encoding.address(key),
            "account": encoding.account(key, found, options.encoding, options.data_slice),
        }
        for key, found in params.node.bank.table.owned_by(owner, tip.slot)
        if passes(found, tests)
    ]
    return with_context(tip, rows) if options.with_context else rows


Tests = list[tuple[int, bytes | None]]
"""Compiled filters: an offset with bytes, or a size with None."""


def compile_filters(filters: Sequence[Filter]) -> Tests:
    """Check the filters and decode their bytes once."""
    if len(filters) > _MAX_FILTERS:
        raise invalid(f"Too many filters provided; max {_MAX_FILTERS}")
    tests: Tests = []
    for condition in filters:
        if condition.data_size is not None:
            tests.append((condition.data_size, None))
        elif condition.memcmp is not None:
            tests.append((condition.memcmp.offset, _wanted(condition.memcmp)))
        else:
            raise invalid("Invalid params: a filter must be dataSize or memcmp")
    return tests


def _wanted(memcmp: Memcmp) -> bytes:
    if isinstance(memcmp.bytes, list):
        return bytes(memcmp.bytes)
    if memcmp.encoding == "base64":
        return decode_bytes(memcmp.bytes, "base64", "memcmp")
    decoded = decode_base58(memcmp.bytes)
    if decoded is None:
        raise invalid("Invalid param: bytes are not base58")
    return decoded


def passes(account: Account, tests: Tests) -> bool:
    """Return whether an account matches every filter."""
    data = account.data
    for number, wanted in tests:
        if wanted is None:
            if len(data) != number:
                return False
        elif data[number : number + len(wanted)] != wanted:
            return False
    return True
