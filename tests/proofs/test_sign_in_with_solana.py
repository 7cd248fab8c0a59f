"""The text of Sign-In With Solana has one form, and every field of it counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.proofs import sign_in_with_solana
from zmart_pipelines.proofs.sign_in_with_solana import (
    SignInExpired,
    SignInMessage,
    SignInRejected,
    find_nonce,
    parse,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WALLET = bytes(range(32))
GOOD = SignInMessage(
    wallet=WALLET,
    origin="https://app.example.com",
    chain="devnet",
    nonce="5b1c0c8f9a7e4d21" * 2,
    issued=NOW,
    expires=NOW + timedelta(minutes=5),
)
TEXT = GOOD.compose()


def check(message: str, now: datetime = NOW) -> SignInMessage:
    return sign_in_with_solana.check(
        message,
        wallet=WALLET,
        origin="https://app.example.com",
        chain="devnet",
        issued=NOW,
        now=now,
    )


def changed(**fields: object) -> str:
    return msgspec.structs.replace(GOOD, **fields).compose()


def test_text_is_the_documented_one() -> None:
    assert TEXT.split("\n") == [
        "app.example.com wants you to sign in with your Solana account:",
        GOOD.address,
        "",
        "Sign in to ZMART. This sends no transaction and costs nothing.",
        "",
        "URI: https://app.example.com",
        "Version: 1",
        "Chain ID: devnet",
        "Nonce: 5b1c0c8f9a7e4d215b1c0c8f9a7e4d21",
        "Issued At: 2026-11-20T12:00:00Z",
        "Expiration Time: 2026-11-20T12:05:00Z",
    ]
    assert TEXT.isascii()
    assert check(TEXT) == GOOD


@pytest.mark.parametrize(
    "fields",
    [
        {"wallet": bytes(32)},
        {"origin": "https://app.example.com.evil.example"},
        {"origin": "http://app.example.com"},
        {"origin": "https://app.example.com:8443"},
        {"chain": "mainnet"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_text_for_another_sign_in_is_rejected(fields: dict[str, object]) -> None:
    with pytest.raises(SignInRejected, match="not that of this sign-in"):
        check(changed(**fields))


def test_domain_without_its_uri_is_rejected() -> None:
    """The domain is what wallets compare with the page, the URI what we store."""
    for line, other in (
        ("app.example.com wants", "evil.example wants"),
        ("URI: https://app.example.com", "URI: https://evil.example"),
        ("URI: https://app.example.com", "URI: https://app.example.com/path"),
    ):
        with pytest.raises(SignInRejected):
            check(TEXT.replace(line, other, 1))


@pytest.mark.parametrize("line", range(11))
def test_missing_line_is_rejected(line: int) -> None:
    lines = TEXT.split("\n")
    del lines[line]
    with pytest.raises(SignInRejected):
        check("\n".join(lines))


@pytest.mark.parametrize("line", range(12))
@pytest.mark.parametrize(
    "added", ["", "Resources:", "Not Before: 2026-11-20T12:00:00Z", "Nonce: " + "0" * 32]
)
def test_additional_line_is_rejected(line: int, added: str) -> None:
    lines = TEXT.split("\n")
    lines.insert(line, added)
    with pytest.raises(SignInRejected):
        check("\n".join(lines))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Version: 1", "Version: 2"),
        ("Chain ID: ", "Chain ID:"),
        ("Sign in to ZMART.", "Sign in to ZMART!"),
        ("5b1c0c8f9a7e4d215b1c0c8f9a7e4d21", "5B1C0C8F9A7E4D215B1C0C8F9A7E4D21"),
        ("12:05:00Z", "12:05:00+00:00"),
        ("2026-11-20T12:05", "2026-02-30T12:05"),
        ("Solana", "Sоlana"),
        ("\n", "\r\n"),
        ("00Z", "00Z\n"),
    ],
)
def test_other_form_is_rejected(old: str, new: str) -> None:
    with pytest.raises(SignInRejected):
        check(TEXT.replace(old, new))


def test_times_are_compared() -> None:
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    # A wallet may write the time of its own clock.
    check(changed(issued=NOW - minute, expires=NOW + 4 * minute))
    check(changed(issued=NOW + minute, expires=NOW + 6 * minute))
    check(TEXT, now=NOW + 5 * minute - second)
    for fields in (
        {"issued": NOW - minute - second, "expires": NOW + minute},
        {"issued": NOW + minute + second, "expires": NOW + 2 * minute},
        {"expires": NOW + 5 * minute + second},
        {"expires": NOW},
        {"expires": NOW - second},
    ):
        with pytest.raises(SignInRejected):
            check(changed(**fields))
    with pytest.raises(SignInExpired):
        check(TEXT, now=NOW + 5 * minute)


times = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
messages = st.builds(
    SignInMessage,
    wallet=st.binary(min_size=32, max_size=32),
    origin=st.from_regex(r"\Ahttps?://[a-z0-9.-]{1,40}(:[0-9]{1,5})?\Z"),
    chain=st.sampled_from(["localnet", "devnet", "testnet", "mainnet"]),
    nonce=st.from_regex(r"\A[0-9a-f]{32}\Z"),
    issued=times,
    expires=times,
)


@given(messages)
def test_parsing_gives_back_what_was_composed(message: SignInMessage) -> None:
    text = message.compose()
    assert parse(text) == message
    assert find_nonce(text) == message.nonce


@given(messages, st.data())
def test_no_two_texts_mean_the_same(message: SignInMessage, data: st.DataObject) -> None:
    text = message.compose()
    place = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 3))
    other = text[:place] + data.draw(st.text(max_size=3)) + text[place + length :]
    try:
        found = parse(other)
    except SignInRejected:
        return
    assert (found == message) == (other == text)


@given(st.text())
def test_any_text_is_rejected_or_read(text: str) -> None:
    find_nonce(text)
    with pytest.raises(SignInRejected):
        parse(text)
