"""Bytes of accounts, events and calls: samples from the chain, round trips, refusals."""

from base64 import b64decode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from tests.program import strategies
from zmart_pipelines.program.accounts import (
    ALLOCATED_SIZE,
    DISCRIMINATOR,
    Account,
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
    VoteKind,
    VoteRecord,
    decode_account,
    decode_as,
    encode_account,
)
from zmart_pipelines.program.calls import Call, decode_instruction, encode_call
from zmart_pipelines.program.codec import DecodeError, EncodeError
from zmart_pipelines.program.events import (
    EVENT_TYPES,
    ConfigUpdated,
    Event,
    MarketFinalized,
    SharesBought,
    WinningsClaimed,
    decode_event,
    encode_event,
    event_name,
)
from zmart_pipelines.program.idl import discriminator

MARKET_ID, USER, TIME = b"\x01" * 32, b"\x02" * 32, 1762768370
MARKET = Pubkey.from_string("F1doAVqwVZdnDRp4U6R3SXpVFNZ4Rk7NZmgFQB2fbbuv")
SAMPLES: list[tuple[str, Event]] = [
    (
        (
            "8GJFCv3q4kEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQICAgICAgICAgICAgICAgICAgICAgICAg"
            "ICAgICAgICAdZvbG0AAAAAPLKZOwAAAAB0bBMeAAAAAPK1EWkAAAAA"
        ),
        SharesBought(MARKET_ID, USER, True, 1835823062, 999928380, 504589428, TIME),
    ),
    (
        "Uz5CzCVM6rMBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEAAfK1EWkAAAAA",
        MarketFinalized(MARKET_ID, False, True, TIME),
    ),
    (
        (
            "u7gdxDZ1RpbQLTjlwnzn/7hKvJvHTPVvXVPG6wbOvnC+J1g+UGseFQICAgICAgICAgICAgICAgICAgICAgICAg"
            "ICAgICAgICABXNWwcAAAAA8rURaQAAAAA="
        ),
        WinningsClaimed(bytes(MARKET), USER, None, 123456789, TIME),
    ),
]
# Lengths with the discriminator, older layouts included.
LENGTHS = {
    "GlobalConfigInitialized": {82},
    "MarketCreated": {89},
    "ProposalVoteSubmitted": {81},
    "ProposalAggregated": {58},
    "ProposalApproved": {80},
    "MarketActivated": {88},
    "SharesBought": {105},
    "SharesSold": {105},
    "MarketResolved": {127},
    "DisputeInitiated": {81, 82},
    "DisputeVoteSubmitted": {81},
    "DisputeAggregated": {58},
    "MarketFinalized": {50, 51},
    "WinningsClaimed": {89, 90, 96},
    "LiquidityWithdrawn": {88},
    "ConfigUpdated": {26, 42},
    "ProtocolPauseStatusChanged": {49},
    "MarketCancelled": {80},
}


@pytest.mark.parametrize(("text", "event"), SAMPLES)
def test_sample_events(text: str, event: Event) -> None:
    assert decode_event(b64decode(text)) == event
    assert encode_event(event) == b64decode(text)


@given(strategies.events | strategies.older_events)
def test_events_round_trip(event: Event) -> None:
    data = encode_event(event)
    assert len(data) in LENGTHS[event_name(event)]
    assert decode_event(data) == event


@given(strategies.events | strategies.older_events, st.binary(min_size=1, max_size=40))
def test_events_with_trailing_bytes_are_refused(event: Event, tail: bytes) -> None:
    data = encode_event(event)
    name = event_name(event)
    if len(data) + len(tail) not in LENGTHS[name]:
        with pytest.raises(DecodeError, match=name):
            decode_event(data + tail)
    with pytest.raises(DecodeError, match=name):
        decode_event(data[:-1] if len(data) - 1 not in LENGTHS[name] else data[:-2])


@pytest.mark.parametrize("cls", EVENT_TYPES)
def test_every_other_length_is_refused(cls: type[Event]) -> None:
    tag = discriminator("event", cls.__name__)
    for length in range(8, 200):
        if length not in LENGTHS[cls.__name__]:
            with pytest.raises(DecodeError, match=f"{cls.__name__}: has {length} bytes"):
                decode_event(tag + bytes(length - 8))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    for decode in (decode_event, decode_account, decode_instruction):
        with pytest.raises(DecodeError):
            decode(data)


def test_the_two_layouts_of_a_claim() -> None:
    older = WinningsClaimed(None, USER, None, 5, TIME, MARKET_ID, 7)
    assert len(encode_event(older)) == 96
    assert decode_event(encode_event(older)) == older
    both = msgspec.structs.replace(older, market=bytes(MARKET))
    with pytest.raises(EncodeError, match="both layouts"):
        encode_event(both)


def test_the_two_layouts_of_a_configuration() -> None:
    now = ConfigUpdated(300, 200, 500, 7000, 6000, 30, 120, TIME)
    older = msgspec.structs.replace(now, min_resolution_delay=None, dispute_period=None)
    assert [len(encode_event(event)) for event in (now, older)] == [42, 26]
    assert decode_event(encode_event(older)) == older


@pytest.mark.parametrize(
    ("event", "offset"),
    [(SAMPLES[0][1], 72), (SAMPLES[1][1], 40), (SAMPLES[1][1], 41), (SAMPLES[1][1], 42)],
)
def test_bools_and_tags_are_0_or_1(event: Event, offset: int) -> None:
    data = bytearray(encode_event(event))
    for value in (2, 255):
        data[offset] = value
        with pytest.raises(DecodeError):
            decode_event(bytes(data))


@pytest.mark.parametrize(("outcome", "tag"), [(None, 1), (None, 2), (None, 255), (True, 0)])
def test_a_tag_must_agree_with_the_length(outcome: bool | None, tag: int) -> None:
    data = bytearray(encode_event(MarketFinalized(MARKET_ID, outcome, True, TIME)))
    data[40] = tag
    with pytest.raises(DecodeError, match="MarketFinalized"):
        decode_event(bytes(data))


@given(strategies.accounts)
def test_accounts_round_trip(account: Account) -> None:
    data = encode_account(account)
    assert len(data) == ALLOCATED_SIZE[type(account)]
    assert data.startswith(DISCRIMINATOR[type(account)])
    assert decode_account(data) == account


@given(strategies.accounts, st.binary(max_size=20))
def test_trailing_bytes_after_an_account_are_ignored(account: Account, tail: bytes) -> None:
    data = encode_account(account)
    assert decode_account(data + tail) == account


def test_a_short_account_is_refused() -> None:
    vote = VoteRecord(MARKET_ID, USER, VoteKind.DISPUTE, True, TIME, 255)
    data = encode_account(vote)
    assert len(data) == 83
    with pytest.raises(DecodeError, match="VoteRecord: has only 82 bytes"):
        decode_account(data[:-1])
    with pytest.raises(DecodeError, match="VoteRecord"):
        decode_account(data[:72] + b"\x02" + data[73:])


def test_an_account_of_another_type_is_refused() -> None:
    vote = VoteRecord(MARKET_ID, USER, VoteKind.PROPOSAL, True, TIME, 255)
    assert decode_as(VoteRecord, encode_account(vote)) == vote
    with pytest.raises(DecodeError, match="is a VoteRecord, not a MarketAccount"):
        decode_as(MarketAccount, encode_account(vote))


@given(
    strategies.of_type(MarketAccount),
    st.none() | st.booleans(),
    st.none() | st.booleans(),
    st.none() | strategies.i64,
)
def test_market_offsets_shift_with_its_options(
    market: MarketAccount,
    proposed: bool | None,
    final: bool | None,
    cancelled: int | None,
) -> None:
    """Where deployed accounts have their fields in each stage."""
    market = msgspec.structs.replace(
        market, proposed_outcome=proposed, final_outcome=final, cancelled_at=cancelled, bump=77
    )
    shift = (proposed is not None) + (final is not None)
    data = encode_account(market)
    assert len(data) == 488
    assert data[72] == market.state
    assert data[203 + shift : 249 + shift] == market.ipfs_evidence_hash
    assert data[349 + shift] == market.was_disputed
    end = 472 + shift + (8 if cancelled is not None else 0)
    assert data[end] == 77
    assert not any(data[end + 1 :])
    assert decode_account(data) == market


def test_configuration_address_is_that_on_chain() -> None:
    config = GlobalConfig(
        b"a" * 32, b"b" * 32, b"c" * 32, 300, 200, 500, 7000, 6000, 30, 120, 8000, True,
        bytes(64), 255,
    )  # fmt: skip
    data = encode_account(config)
    assert len(data) == 206
    assert data[104:114] == bytes.fromhex("2c01c800f401581b7017")
    assert data[122:130] == (120).to_bytes(8, "little")
    assert (data[132], data[197]) == (1, 255)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bump": 256}, "UserPosition.bump: 256 is outside 0..255"),
        ({"shares_yes": -1}, "UserPosition.shares_yes: -1 is outside"),
        ({"shares_no": 2**64}, "UserPosition.shares_no: 18446744073709551616 is outside"),
        ({"trades_count": True}, "UserPosition.trades_count: bool instead of an integer"),
        ({"has_claimed": 1}, "UserPosition.has_claimed: 1 is not a bool"),
        ({"user": b"short"}, "UserPosition.user: has 5 bytes, must have 32"),
        ({"market": "text"}, "UserPosition.market: str instead of 32 bytes"),
        ({"last_trade_at": None}, "UserPosition.last_trade_at: NoneType instead of an integer"),
    ],
)
def test_values_that_do_not_fit_are_named(changes: dict[str, object], message: str) -> None:
    position = UserPosition(MARKET_ID, USER, 1, 2, 3, 4, 5, False, 6, bytes(64), 255)
    with pytest.raises(EncodeError, match=message):
        encode_account(msgspec.structs.replace(position, **changes))


def test_states_are_enum_members() -> None:
    market = decode_as(
        MarketAccount,
        DISCRIMINATOR[MarketAccount] + bytes(64) + bytes([4]) + bytes(415),
    )
    assert market.state is MarketState.DISPUTED
    with pytest.raises(DecodeError):
        decode_account(DISCRIMINATOR[MarketAccount] + bytes(64) + bytes([7]) + bytes(415))


@given(strategies.calls)
def test_calls_round_trip(call: Call) -> None:
    data = encode_call(call)
    decoded = decode_instruction(data)
    assert decoded == call
    assert decoded.name == call.name


@given(strategies.calls, st.binary(min_size=1, max_size=50))
def test_trailing_bytes_after_a_call_are_ignored(call: Call, tail: bytes) -> None:
    assert decode_instruction(encode_call(call) + tail) == call


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("28ef8a9a08256a6c 01 00ca9a3b00000000", "buy_shares"),
        ("10e1261cd5d901f7 00 00", "finalize_market"),
        ("10e1261cd5d901f7 01 06000000 01 04000000", "finalize_market"),
        ("1a9c1215b9b0ca48 07000000 03000000", "aggregate_proposal_votes"),
        (
            "a45482bd6f3afac8 2c01 c800 f401 581b 7017 00 01 7800000000000000",
            "update_global_config",
        ),
    ],
)
def test_sample_calls(data: str, name: str) -> None:
    call = decode_instruction(bytes.fromhex(data))
    assert call.name == name
    assert encode_call(call) == bytes.fromhex(data)
