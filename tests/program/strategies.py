"""Hypothesis strategies for every account, event and call, built from the IDL."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec
from hypothesis import strategies as st

from zmart_pipelines.program import idl
from zmart_pipelines.program.accounts import (
    Account,
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
    VoteKind,
    VoteRecord,
)
from zmart_pipelines.program.calls import CALL_TYPES, Call
from zmart_pipelines.program.events import (
    EVENT_TYPES,
    ConfigUpdated,
    Event,
    WinningsClaimed,
)

ACCOUNT_TYPES: tuple[type[Account], ...] = (
    GlobalConfig,
    MarketAccount,
    UserPosition,
    VoteRecord,
)
ENUMS: dict[str, type[IntEnum]] = {"MarketState": MarketState, "VoteType": VoteKind}

u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
key = st.binary(min_size=32, max_size=32)
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "u8": st.integers(0, 2**8 - 1),
    "u16": st.integers(0, 2**16 - 1),
    "u32": st.integers(0, 2**32 - 1),
    "u64": u64,
    "i64": i64,
    "pubkey": key,
}


def values(kind: idl.IdlType) -> st.SearchStrategy[Any]:
    if isinstance(kind, str):
        return _PLAIN[kind]
    if kind.array is not None:
        return st.binary(min_size=kind.array[1], max_size=kind.array[1])
    if kind.option is not None:
        return st.none() | _PLAIN[kind.option]
    assert kind.defined is not None
    return st.sampled_from(list(ENUMS[kind.defined.name]))


def _structs(cls: type[Any], fields: tuple[idl.Field, ...]) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{field.name: values(field.type) for field in fields})


def of_type(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Accounts and events in their present layout."""
    return _structs(cls, idl.load().type(cls.__name__).fields)


accounts: st.SearchStrategy[Account] = st.one_of([of_type(cls) for cls in ACCOUNT_TYPES])
events: st.SearchStrategy[Event] = st.one_of([of_type(cls) for cls in EVENT_TYPES])

_u16 = st.integers(0, 2**16 - 1)
older_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        WinningsClaimed,
        market=st.none(),
        user=key,
        outcome=st.none(),
        amount=u64,
        timestamp=i64,
        market_id=key,
        resolver_fee=u64,
    ),
    st.builds(
        ConfigUpdated,
        protocol_fee_bps=_u16,
        resolver_reward_bps=_u16,
        liquidity_provider_fee_bps=_u16,
        proposal_approval_threshold=_u16,
        dispute_success_threshold=_u16,
        min_resolution_delay=st.none(),
        dispute_period=st.none(),
        timestamp=i64,
    ),
)

_ARGS = {instruction.name: instruction.args for instruction in idl.load().instructions}


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


calls: st.SearchStrategy[Call] = st.one_of(
    [_structs(cls, _ARGS[snake(cls.__name__)]) for cls in CALL_TYPES]
)
