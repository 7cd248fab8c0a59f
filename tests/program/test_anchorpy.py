"""Our codecs and builders compared with anchorpy's, which implement the same interface."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from anchorpy.coder.coder import Coder
from anchorpy.program.context import Context
from anchorpy.program.core import Program
from anchorpy.provider import Provider, Wallet
from hypothesis import given
from hypothesis import strategies as st
from solana.rpc.async_api import AsyncClient
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.program import strategies
from zmart_pipelines.program import calls, idl, instructions
from zmart_pipelines.program.accounts import Account, MarketState, VoteKind, encode_account
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.calls import Call, encode_call
from zmart_pipelines.program.events import Event, encode_event, event_name
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID, SYSTEM_PROGRAM

PROGRAM = DEFAULT_PROGRAM_ID


@cache
def coder() -> Coder:
    return Coder(idl.legacy())


@cache
def program() -> Program:
    provider = Provider(AsyncClient("http://127.0.0.1:1"), Wallet.dummy())
    return Program(idl.legacy(), PROGRAM, provider)


def plain(value: Any) -> Any:
    """Convert a value of anchorpy to our types."""
    if isinstance(value, Pubkey):
        return bytes(value)
    if isinstance(value, list):
        return bytes(value)
    for enum in (MarketState, VoteKind):
        for member in enum:
            if type(value).__name__.upper() == member.name:
                return member
    return value


def theirs(value: Any) -> Any:
    """Convert an argument of an instruction to anchorpy's types."""
    return list(value) if isinstance(value, bytes) else value


def fields(ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which the two differ."""
    names = idl.load().type(type(ours).__name__).fields
    pairs = {f.name: (getattr(ours, f.name), plain(getattr(theirs, f.name))) for f in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@given(strategies.accounts)
def test_accounts(account: Account) -> None:
    assert fields(account, coder().accounts.decode(encode_account(account))) == {}


@given(strategies.events)
def test_events(event: Event) -> None:
    parsed = coder().events.parse(encode_event(event))
    assert parsed.name == event_name(event)
    assert fields(event, parsed.data) == {}


@given(strategies.calls)
def test_call_data(call: Call) -> None:
    arguments = {name: getattr(call, name) for name in call.__struct_fields__}
    if isinstance(call, calls.InitializeGlobalConfig):
        arguments["backend_authority"] = Pubkey(call.backend_authority)
    encoded = coder().instruction.encode(
        call.name, {name: theirs(value) for name, value in arguments.items()}
    )
    assert encode_call(call) == encoded


keys = st.builds(Pubkey, strategies.key)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
cid = st.binary(min_size=46, max_size=46)

# Each builder: strategies of its keyword arguments, where what is a key is an account or
# ``backend_authority``, and the names its other arguments have in the interface.
BUILDERS: dict[str, tuple[dict[str, st.SearchStrategy[Any]], dict[str, str]]] = {
    "initialize_global_config": (
        {"admin": keys, "backend_authority": keys, "protocol_fee_wallet": keys},
        {},
    ),
    "update_global_config": (
        {
            "admin": keys,
            "protocol_fee_bps": u16,
            "resolver_reward_bps": u16,
            "liquidity_provider_fee_bps": u16,
            "proposal_approval_threshold": u16,
            "dispute_success_threshold": u16,
            "min_resolution_delay": st.none() | strategies.i64,
            "dispute_period": st.none() | strategies.i64,
        },
        {},
    ),
    "emergency_pause": ({"admin": keys}, {}),
    "create_market": (
        {
            "creator": keys,
            "market_id": strategies.key,
            "b_parameter": strategies.u64,
            "initial_liquidity": strategies.u64,
            "question_hash": cid,
        },
        {"question_hash": "ipfs_question_hash"},
    ),
    "submit_proposal_vote": ({"user": keys, "market": keys, "vote": st.booleans()}, {}),
    "aggregate_proposal_votes": (
        {"backend_authority": keys, "market": keys, "likes": u32, "dislikes": u32},
        {"likes": "final_likes", "dislikes": "final_dislikes"},
    ),
    "approve_proposal": ({"admin": keys, "market": keys}, {}),
    "activate_market": ({"authority": keys, "market": keys}, {}),
    "cancel_market": ({"admin": keys, "market": keys}, {}),
    "buy_shares": (
        {
            "user": keys,
            "market": keys,
            "protocol_fee_wallet": keys,
            "outcome": st.booleans(),
            "target_cost": strategies.u64,
        },
        {},
    ),
    "sell_shares": (
        {
            "user": keys,
            "market": keys,
            "protocol_fee_wallet": keys,
            "outcome": st.booleans(),
            "shares": strategies.u64,
            "min_proceeds": strategies.u64,
        },
        {"shares": "shares_to_sell"},
    ),
    "resolve_market": (
        {"resolver": keys, "market": keys, "outcome": st.booleans(), "evidence_hash": cid},
        {"outcome": "proposed_outcome", "evidence_hash": "ipfs_evidence_hash"},
    ),
    "initiate_dispute": ({"initiator": keys, "market": keys}, {}),
    "submit_dispute_vote": ({"user": keys, "market": keys, "vote": st.booleans()}, {}),
    "aggregate_dispute_votes": (
        {"backend_authority": keys, "market": keys, "agrees": u32, "disagrees": u32},
        {"agrees": "final_agrees", "disagrees": "final_disagrees"},
    ),
    "finalize_market": (
        {
            "backend_authority": keys,
            "market": keys,
            "dispute_agree": st.none() | u32,
            "dispute_disagree": st.none() | u32,
        },
        {},
    ),
    "claim_winnings": ({"user": keys, "market": keys, "resolver": keys}, {}),
    "withdraw_liquidity": ({"creator": keys, "market": keys}, {}),
}


def derived(name: str, given: dict[str, Any]) -> Pubkey:
    """Return an account that the builder derives."""
    match name:
        case "global_config":
            return config_address(PROGRAM)[0]
        case "system_program":
            return SYSTEM_PROGRAM
        case "market":
            return market_address(PROGRAM, given["market_id"])[0]
        case "position":
            return position_address(PROGRAM, given["market"], given["user"])[0]
        case "vote_record":
            kind = VoteKind.PROPOSAL if given["kind"] == "proposal" else VoteKind.DISPUTE
            return vote_address(PROGRAM, given["market"], given["user"], kind)[0]
    raise AssertionError(name)


def test_every_instruction_has_a_builder() -> None:
    assert set(BUILDERS) == {instruction.name for instruction in idl.load().instructions}


@pytest.mark.parametrize("name", BUILDERS)
@given(data=st.data())
def test_builders(name: str, data: st.DataObject) -> None:
    given_strategies, renamed = BUILDERS[name]
    given = data.draw(st.fixed_dictionaries(given_strategies))
    built: Instruction = getattr(instructions, name)(PROGRAM, **given)

    definition = next(i for i in idl.load().instructions if i.name == name)
    wire_names = {renamed.get(key, key): value for key, value in given.items()}
    arguments = [theirs(wire_names[argument.name]) for argument in definition.args]
    known = {**given, "kind": name.split("_")[1]}
    accounts = {
        account.name: given.get(account.name) or derived(account.name, known)
        for account in definition.accounts
    }
    expected = program().instruction[name](*arguments, ctx=Context(accounts=accounts))
    assert built == expected
