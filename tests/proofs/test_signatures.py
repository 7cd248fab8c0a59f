"""Signatures of hardware wallets: the documented envelopes around exactly our text."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.proofs.signatures import is_signed_by

WALLET = Keypair.from_seed(bytes([7] * 32))
KEY = bytes(WALLET.pubkey())
PROGRAM = bytes(DEFAULT_PROGRAM_ID)
TEXT = "ZMART ballot zmart-1\nchoice: like"
DOMAIN = bytes.fromhex("ff") + b"solana offchain"


def ledger(text: bytes, format_: int) -> bytes:
    """The layout of the Ledger app up to 1.3: version, format, length."""
    return DOMAIN + struct.pack("<BBH", 0, format_, len(text)) + text


def documented(text: bytes, format_: int, domain: bytes, *signers: bytes) -> bytes:
    """Version 0 as documented: application domain, format, signers, length."""
    head = struct.pack("<B32sBB", 0, domain, format_, len(signers))
    return DOMAIN + head + b"".join(signers) + struct.pack("<H", len(text)) + text


def version_1(text: bytes, *signers: bytes) -> bytes:
    """Version 1: signers and the text."""
    return DOMAIN + struct.pack("<BB", 1, len(signers)) + b"".join(signers) + text


Layout = Callable[[bytes], bytes]
ACCEPTED: dict[str, Layout] = {
    "plain": lambda text: text,
    "Ledger, ASCII": lambda text: ledger(text, 0),
    "Ledger, UTF-8": lambda text: ledger(text, 1),
    "documented, ASCII, no domain": lambda text: documented(text, 0, bytes(32), KEY),
    "documented, UTF-8, no domain": lambda text: documented(text, 1, bytes(32), KEY),
    "documented, UTF-8, our program": lambda text: documented(text, 1, PROGRAM, KEY),
    "version 1": lambda text: version_1(text, KEY),
}
REFUSED: dict[str, Layout] = {
    "other format": lambda text: ledger(text, 3),
    "wrong length": lambda text: ledger(text, 1)[:18] + b"\x01\x00" + text,
    "another domain": lambda text: documented(text, 1, bytes([9] * 32), KEY),
    "another signer": lambda text: documented(text, 1, bytes(32), bytes([9] * 32)),
    "two signers": lambda text: documented(text, 1, bytes(32), KEY, bytes([9] * 32)),
    "version 1 of two signers": lambda text: version_1(text, KEY, bytes([9] * 32)),
    "version 2": lambda text: DOMAIN + b"\x02\x01" + KEY + text,
    "text in front": lambda text: ledger(b"Claim!\n" + text, 1),
    "text behind": lambda text: version_1(text + b"\nClaim!", KEY),
    "another chain": lambda text: ledger(text, 1).replace(b"solana", b"openos"),
    "no header": lambda text: DOMAIN + text,
}


@pytest.mark.parametrize("layout", ACCEPTED)
def test_documented_envelopes_are_accepted(layout: str) -> None:
    signature = bytes(WALLET.sign_message(ACCEPTED[layout](TEXT.encode())))
    assert is_signed_by(TEXT, signature, KEY, PROGRAM)
    assert not is_signed_by(TEXT + ".", signature, KEY, PROGRAM)
    assert not is_signed_by(TEXT, signature, bytes(Keypair().pubkey()), PROGRAM)


@pytest.mark.parametrize("layout", REFUSED)
def test_other_envelopes_and_texts_are_refused(layout: str) -> None:
    signature = bytes(WALLET.sign_message(REFUSED[layout](TEXT.encode())))
    assert not is_signed_by(TEXT, signature, KEY, PROGRAM)


ORDER = 2**252 + 27742317777372353535851937790883648493


def test_signature_has_one_form() -> None:
    """Otherwise a recorded signature could be sent again in another form."""
    signature = bytes(WALLET.sign_message(TEXT.encode()))
    scalar = int.from_bytes(signature[32:], "little")
    other = signature[:32] + (scalar + ORDER).to_bytes(32, "little")
    assert is_signed_by(TEXT, signature, KEY)
    assert not is_signed_by(TEXT, other, KEY)


IDENTITY, ORDER_2 = b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"


@pytest.mark.parametrize("point", [IDENTITY, bytes(32), ORDER_2])
def test_keys_that_anyone_can_sign_for_are_no_wallets(point: bytes) -> None:
    for start in (IDENTITY, point, bytes(32)):
        assert not is_signed_by(TEXT, start + bytes(32), point)


def test_text_that_no_device_takes_has_no_envelope() -> None:
    long = "x" * 1213
    assert is_signed_by(long, bytes(WALLET.sign_message(long.encode())), KEY)
    assert not is_signed_by(long, bytes(WALLET.sign_message(ledger(long.encode(), 1))), KEY)
    assert not is_signed_by("\ud800", bytes(64), KEY)


@given(st.text(), st.binary(max_size=70), st.binary(max_size=40))
def test_no_input_raises_or_verifies(text: str, signature: bytes, wallet: bytes) -> None:
    assert not is_signed_by(text, signature, wallet, PROGRAM)


P = 2**255 - 19
# The y coordinates of the eight points of small order, and their other encodings.
_Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303021022
LOW_ORDER = [
    y | sign
    for y in (0, 1, P - 1, P, P + 1, _Y8, P - _Y8)
    for sign in (0, 1 << 255)
]  # fmt: skip
IDENTITY = (1).to_bytes(32, "little")


@pytest.mark.parametrize("point", LOW_ORDER, ids=hex)
def test_degenerate_keys_sign_nothing(point: int) -> None:
    """With a key of small order, many signatures fit every message.

    R is the key itself or the neutral point, S is zero: h·A is then one of eight points.
    """
    key = point.to_bytes(32, "little")
    encodings = {IDENTITY, *(other.to_bytes(32, "little") for other in LOW_ORDER)}
    for number in range(16):
        message = f"Sign in to ZMART {number}"
        for r in encodings:
            assert not is_signed_by(message, r + bytes(32), key)
