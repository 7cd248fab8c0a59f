"""The text of Sign-In With Solana: composed by the server, signed by a wallet, read back strictly.

It is the form of EIP-4361 that wallets of Solana implement (``solana:signIn`` of the Wallet
Standard), with every field of ours and no other::

    app.example.com wants you to sign in with your Solana account:
    6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw

    Sign in to ZMART. This sends no transaction and costs nothing.

    URI: https://app.example.com
    Version: 1
    Chain ID: devnet
    Nonce: 5b1c0c8f9a7e4d215b1c0c8f9a7e4d21
    Issued At: 2026-11-20T12:00:00Z
    Expiration Time: 2026-11-20T12:05:00Z

The text is plain ASCII, which every hardware wallet shows.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.proofs.labelled_text import (
    MalformedText,
    compose,
    read_lines,
    read_time,
    written_time,
)

STATEMENT: Final = "Sign in to ZMART. This sends no transaction and costs nothing."
VERSION: Final = "1"
MAX_MESSAGE: Final = 1000
# How far the time of issue may be from that of the nonce: a wallet may write its own clock's.
MAX_CLOCK_SKEW: Final = timedelta(seconds=60)
# The longest time from issue to expiry.
MAX_VALIDITY: Final = timedelta(minutes=5)

_TITLE_END: Final = " wants you to sign in with your Solana account:"
_LABELS: Final = ("URI", "Version", "Chain ID", "Nonce", "Issued At", "Expiration Time")
# The lines before those with labels: title, address, empty, statement, empty.
_HEAD: Final = 5
_ORIGIN: Final = re.compile(r"(https?)://([A-Za-z0-9.:\[\]-]{1,253})")
_CHAIN: Final = re.compile(r"[a-z]{1,20}")
_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_NONCE_LINE: Final = re.compile(r"^Nonce: ([0-9a-f]{32})$", re.MULTILINE)


class SignInRejected(ValueError):
    """The text does not sign in: the message says why."""


class SignInExpired(SignInRejected):
    """The text would sign in, but its time has passed."""


class SignInMessage(msgspec.Struct, frozen=True):
    """The content of the text. Times are in whole seconds UTC.

    Attributes:
        wallet: Address of the wallet that signs, 32 bytes.
        origin: Of the page on which it signs: scheme, host and port.
        chain: Name of the cluster.
        nonce: 32 hexadecimal digits, 128 random bits.
    """

    wallet: bytes
    origin: str
    chain: str
    nonce: str
    issued: datetime
    expires: datetime

    @property
    def domain(self) -> str:
        """The origin's host and port, which wallets compare with the page's."""
        return self.origin.partition("://")[2]

    @property
    def address(self) -> str:
        """The wallet's address in base58."""
        return str(Pubkey(self.wallet))

    def compose(self) -> str:
        """Return the text to sign, without a final newline."""
        head = f"{self.domain}{_TITLE_END}\n{self.address}\n\n{STATEMENT}\n"
        values = (
            self.origin,
            VERSION,
            self.chain,
            self.nonce,
            written_time(self.issued),
            written_time(self.expires),
        )
        return compose(head, _LABELS, values)


def is_origin(text: str) -> bool:
    """Return whether the text is an origin that a text to sign may name."""
    return _ORIGIN.fullmatch(text) is not None


def find_nonce(message: str) -> str | None:
    """Return the nonce in a text that need not be valid; None where there is none."""
    found = _NONCE_LINE.search(message)
    return None if found is None else found[1]


def parse(message: str) -> SignInMessage:
    """Parse the text; composing the result again gives the same text.

    Raises:
        SignInRejected: It names what is invalid.
    """
    if len(message) > MAX_MESSAGE:
        raise SignInRejected(f"is longer than {MAX_MESSAGE} characters")
    try:
        content = _parse_lines(message.split("\n"))
    except MalformedText as error:
        raise SignInRejected(str(error)) from None
    if content.compose() != message:
        raise SignInRejected("is not in the exact form of the text that the server returned")
    return content


def _parse_lines(lines: list[str]) -> SignInMessage:
    if len(lines) != _HEAD + len(_LABELS):
        raise MalformedText(f"has {len(lines)} lines instead of {_HEAD + len(_LABELS)}")
    title = lines[_HEAD - 1]
    values = read_lines("\n".join(lines[_HEAD - 1 :]), title, _LABELS)
    if values["Version"] != VERSION:
        raise MalformedText(f"its Version is not {VERSION}")
    for label, pattern, expected in (
        ("URI", _ORIGIN, "an origin such as https://app.example.com"),
        ("Chain ID", _CHAIN, "the name of a cluster"),
        ("Nonce", _NONCE, "32 hexadecimal digits"),
    ):
        if not pattern.fullmatch(values[label]):
            raise MalformedText(f"its {label} is not {expected}")
    try:
        wallet = bytes(Pubkey.from_string(lines[1]))
    except ValueError:
        raise MalformedText("its second line is not an address") from None
    return SignInMessage(
        wallet=wallet,
        origin=values["URI"],
        chain=values["Chain ID"],
        nonce=values["Nonce"],
        issued=read_time(values["Issued At"], "time of issue"),
        expires=read_time(values["Expiration Time"], "expiry"),
    )


def check(
    message: str, *, wallet: bytes, origin: str, chain: str, issued: datetime, now: datetime
) -> SignInMessage:
    """Return the content of a text by which the wallet signs in at ``now``.

    Every field is compared, whatever the text leaves out. The signature and the nonce are the
    caller's to check.

    Args:
        message: The text as it was signed.
        wallet: Who signs in, 32 bytes.
        origin: The one for which the nonce was issued.
        chain: Name of this service's cluster.
        issued: When the nonce was issued, by the server's clock.
        now: The reader's clock.

    Raises:
        SignInExpired: Its time has passed.
        SignInRejected: It does not sign in.
    """
    content = parse(message)
    for label, agrees in (
        ("address", content.wallet == wallet),
        ("domain and URI", content.origin == origin),
        ("Chain ID", content.chain == chain),
    ):
        if not agrees:
            raise SignInRejected(f"its {label} is not that of this sign-in; ask for a new text")
    if abs(content.issued - issued) > MAX_CLOCK_SKEW:
        raise SignInRejected("was issued at another time than its nonce; ask for a new text")
    if not timedelta() < content.expires - content.issued <= MAX_VALIDITY:
        raise SignInRejected("is valid for too long; ask for a new text")
    if content.expires <= now:
        raise SignInExpired("has expired; ask for a new text")
    return content
