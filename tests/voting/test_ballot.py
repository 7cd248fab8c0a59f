"""The signed text: readable, bound to everything, and read in one way only."""

import contextlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.voting.ballot import (
    BallotRejected,
    BallotText,
    OlderBallot,
    Proof,
    Scheme,
    SignedBallot,
    check_ballot,
    parse,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TTL = timedelta(minutes=10)
WALLET = Keypair.from_seed(bytes([7] * 32))
PROGRAM = bytes(DEFAULT_PROGRAM_ID)

EXAMPLE = """\
ZMART ballot zmart-1
program: 6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw
network: localnet
market: 0101010101010101010101010101010101010101010101010101010101010101
vote: proposal
round: 0
choice: like
nonce: 5b1c0c8f9a7e4d21
expires: 2026-11-20T12:05:00Z"""
TEXT = BallotText(
    program=PROGRAM,
    network="localnet",
    market_id=bytes([1] * 32),
    kind="proposal",
    round=0,
    choice=True,
    nonce="5b1c0c8f9a7e4d21",
    expires=NOW + timedelta(minutes=5),
)

texts = st.builds(
    BallotText,
    program=st.binary(min_size=32, max_size=32),
    network=st.sampled_from(["localnet", "devnet", "testnet", "mainnet"]),
    market_id=st.binary(min_size=32, max_size=32),
    kind=st.sampled_from(["proposal", "dispute"]),
    round=st.integers(0, 999_999_999),
    choice=st.booleans(),
    nonce=st.from_regex(r"[A-Za-z0-9_-]{8,64}", fullmatch=True),
    expires=st.integers(946_684_800, 4_102_444_800).map(
        lambda seconds: datetime.fromtimestamp(seconds, UTC)
    ),
)


def signed(message: str = EXAMPLE) -> SignedBallot:
    return SignedBallot(
        market_id=TEXT.market_id,
        kind="proposal",
        wallet=bytes(WALLET.pubkey()),
        choice=True,
        message=message,
        signature=bytes(WALLET.sign_message(message.encode())),
    )


def checked(ballot: SignedBallot, now: datetime = NOW, older: bool = True) -> Proof:
    return check_ballot(ballot, program=PROGRAM, network="localnet", now=now, ttl=TTL, older=older)


def test_documented_example_is_the_composed_text() -> None:
    assert TEXT.compose() == EXAMPLE
    assert parse(EXAMPLE) == TEXT
    assert EXAMPLE.isascii()


@given(texts)
def test_composed_text_is_parsed_back(text: BallotText) -> None:
    assert parse(text.compose()) == text


@given(texts, st.data())
def test_any_changed_byte_breaks_the_proof(text: BallotText, data: st.DataObject) -> None:
    message = text.compose()
    signature = bytes(WALLET.sign_message(message.encode()))
    wallet = bytes(WALLET.pubkey())
    assert is_signed_by(message, signature, wallet)
    raw = bytearray(message.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 127))
    assert not is_signed_by(raw.decode(), signature, wallet)
    broken = bytearray(signature)
    broken[data.draw(st.integers(0, 63))] ^= data.draw(st.integers(1, 255))
    assert not is_signed_by(message, bytes(broken), wallet)
    assert not is_signed_by(message, signature, bytes(Keypair.from_seed(bytes(32)).pubkey()))


@given(texts, st.data())
def test_a_changed_text_says_something_else_or_nothing(
    text: BallotText, data: st.DataObject
) -> None:
    message = text.compose()
    place = data.draw(st.integers(0, len(message) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda c: c != message[place]))
    changed = message[:place] + other + message[place + 1 :]
    with contextlib.suppress(BallotRejected):
        assert parse(changed) != text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("zmart-1", "zmart-2"),
        ("program: ", "program:"),
        ("network: localnet\n", ""),
        ("round: 0", "round: 00"),
        ("round: 0", "round: -1"),
        ("round: 0", "round: ٣"),
        ("choice: like", "choice: agree"),
        ("choice: like", "choice: Like"),
        ("vote: proposal", "vote: election"),
        ("0101", "0101 "),
        ("market: 01", "market: 0A"),
        ("nonce: 5b1c0c8f9a7e4d21", "nonce: short"),
        ("12:05:00Z", "12:05:00+00:00"),
        ("2026-11-20", "2026-11-2"),
        ("12:05:00Z", "12:05:00Z\n"),
        ("12:05:00Z", "12:05:00Z\nand all my money"),
        ("vote: proposal\nround: 0", "round: 0\nvote: proposal"),
        ("\n", "\r\n"),
        ("6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw", "6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR"),
    ],
)
def test_other_forms_are_refused(old: str, new: str) -> None:
    changed = EXAMPLE.replace(old, new, 1)
    assert changed != EXAMPLE
    with pytest.raises(BallotRejected) as caught:
        parse(changed)
    assert caught.value.field == "message"


def test_good_ballot() -> None:
    assert checked(signed()) == Proof(scheme="zmart-1", nonce="5b1c0c8f9a7e4d21", round=0)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"program": bytes(Pubkey.default())}, "program"),
        ({"network": "mainnet"}, "network"),
        ({"market_id": bytes([2] * 32)}, "market"),
        ({"kind": "dispute"}, "vote"),
        ({"choice": False}, "choice"),
    ],
)
def test_text_must_agree_with_the_request(change: dict[str, object], line: str) -> None:
    message = msgspec.structs.replace(TEXT, **change).compose()
    with pytest.raises(BallotRejected, match=f"'{line}' differs from the request"):
        checked(signed(message))


def test_expiry_edges() -> None:
    expires = TEXT.expires
    assert checked(signed(), expires - timedelta(seconds=1))
    with pytest.raises(BallotRejected, match="has expired"):
        checked(signed(), expires)
    assert checked(signed(), expires - TTL)
    with pytest.raises(BallotRejected, match="600 s ahead"):
        checked(signed(), expires - TTL - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"signature": bytes(64)}, "signature"),
        ({"signature": b"short"}, "signature"),
        ({"wallet": bytes(WALLET.pubkey())[:31]}, "wallet"),
        ({"wallet": bytes(32)}, "signature"),
        ({"market_id": b"x"}, "market_id"),
        ({"message": "\ud800"}, "message"),
        ({"message": EXAMPLE + "é"}, "message"),
        ({"message": EXAMPLE + "\0"}, "message"),
        ({"message": "x" * 1001}, "message"),
        ({"message": ""}, "message"),
    ],
)
def test_damaged_ballots_name_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(BallotRejected) as caught:
        checked(msgspec.structs.replace(signed(), **change))
    assert caught.value.field == field


BODY_TEXT = "Sign this message to authenticate with ZMART\n\nTimestamp: {}"
STAMP = str(int(NOW.timestamp() * 1000))
HEADER_TEXT = "Sign in to ZMART\nTimestamp: {}"


@pytest.mark.parametrize(
    ("form", "scheme", "age"),
    [
        (BODY_TEXT, "login-body", timedelta(minutes=5)),
        (HEADER_TEXT, "login-header", timedelta(minutes=60)),
    ],
)
def test_older_texts_are_accepted_and_marked(form: str, scheme: Scheme, age: timedelta) -> None:
    stamp = str(int(NOW.timestamp() * 1000))
    ballot = signed(form.format(stamp))
    for moment in (NOW, NOW + age, NOW - timedelta(minutes=5)):
        assert checked(ballot, moment) == Proof(scheme, stamp, None)
    for moment in (NOW + age + timedelta(seconds=1), NOW - timedelta(seconds=301)):
        with pytest.raises(BallotRejected, match="sign again"):
            checked(ballot, moment)
    with pytest.raises(OlderBallot):
        checked(ballot, older=False)
    with pytest.raises(BallotRejected, match="not this wallet's signature"):
        checked(msgspec.structs.replace(ballot, signature=bytes(64)))


@pytest.mark.parametrize(
    "message",
    [
        "I agree",
        "Sign this message to authenticate with ZMART",
        HEADER_TEXT.format("1") + "0" * 11,
        # The sign-in texts are matched as a whole, not searched for.
        f"Claim your airdrop!\n{BODY_TEXT.format(STAMP)}",
        f"Claim!\nSign this message to authenticate with ZMART\nblah 5 {STAMP} I hate this market",
        f"{BODY_TEXT.format(STAMP)}\n",
        f"{BODY_TEXT.format(STAMP)}\nI hate this market",
        f"{BODY_TEXT.format(STAMP)}0",
        BODY_TEXT.format(STAMP).replace("Timestamp", "Time"),
        BODY_TEXT.format(STAMP).replace("\n\n", "\n\n\n"),
        BODY_TEXT.format(STAMP).replace("\n", "\r\n"),
        f"{HEADER_TEXT.format(STAMP)}\n",
        f" {HEADER_TEXT.format(STAMP)}",
    ],
)
def test_text_signed_for_another_purpose_is_rejected(message: str) -> None:
    with pytest.raises(BallotRejected) as caught:
        checked(signed(message), older=True)
    assert (type(caught.value), caught.value.field) == (BallotRejected, "message")
