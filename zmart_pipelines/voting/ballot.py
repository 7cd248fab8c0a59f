"""The text that a wallet signs to vote, and its verification. Pure.

Our own scheme is ``zmart-1``: nine short ASCII lines that name everything the vote is bound
to, so that a signature cannot be used for another market, network, kind or round, or after its
expiry::

    ZMART ballot zmart-1
    program: 6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw
    network: localnet
    market: 0101010101010101010101010101010101010101010101010101010101010101
    vote: proposal
    round: 0
    choice: like
    nonce: 5b1c0c8f9a7e4d21
    expires: 2026-11-20T12:00:00Z

Two sign-in texts of older clients are accepted while ``accept_older_ballots`` is set. They
contain a time and nothing else, so the ballot's market and choice are those of the request; such
ballots keep the older scheme's name permanently.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.program.vote_choices import VOTE_CHOICES
from zmart_pipelines.proofs.labelled_text import (
    NONCE,
    MalformedText,
    compose,
    read_lines,
    read_time,
    written_time,
)
from zmart_pipelines.proofs.sign_in_text import SignInScheme, SignInText, parse_sign_in
from zmart_pipelines.proofs.signatures import is_signed_by

Kind = Literal["proposal", "dispute"]
Scheme = Literal["zmart-1"] | SignInScheme

SCHEME: Scheme = "zmart-1"
TITLE = f"ZMART ballot {SCHEME}"
MAX_MESSAGE = 1000
_LABELS = ("program", "network", "market", "vote", "round", "choice", "nonce", "expires")
_MAX_CLOCK_SKEW = timedelta(minutes=5)


class BallotRejected(ValueError):
    """The ballot is not accepted: ``field`` is invalid, ``reason`` says why and the remedy."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class BallotExpired(BallotRejected):
    """The signed text is no longer valid."""


class SignatureUsed(BallotRejected):
    """The signature has served another ballot or request."""


class IdempotencyKeyUsed(BallotRejected):
    """The wallet has used the idempotency key for another vote."""


class WalletNotEligible(BallotRejected):
    """The wallet may not vote."""


class OlderBallot(BallotRejected):
    """The ballot is signed with a sign-in text, and such ballots are not accepted."""

    def __init__(self) -> None:
        super().__init__(
            "message", "is a sign-in text, which names no vote; sign the text of this vote"
        )


class BallotText(msgspec.Struct, frozen=True):
    """The content of a ``zmart-1`` text. ``expires`` is in whole seconds UTC."""

    program: bytes
    network: str
    market_id: bytes
    kind: Kind
    round: int
    choice: bool
    nonce: str
    expires: datetime

    def compose(self) -> str:
        """Return the text to sign, without a final newline."""
        yes, no = VOTE_CHOICES[self.kind]
        values = (
            str(Pubkey(self.program)),
            self.network,
            self.market_id.hex(),
            self.kind,
            str(self.round),
            yes if self.choice else no,
            self.nonce,
            written_time(self.expires),
        )
        return compose(TITLE, _LABELS, values)


class SignedBallot(msgspec.Struct, frozen=True):
    """A ballot as it was received: its claims, the signed text and the signature."""

    market_id: bytes
    kind: Kind
    wallet: bytes
    choice: bool
    message: str
    signature: bytes
    idempotency_key: str | None = None


class Proof(msgspec.Struct, frozen=True):
    """What the text of a valid ballot proves: its scheme, its nonce and its round.

    ``round`` is None for the older schemes, whose texts contain none.
    """

    scheme: Scheme
    nonce: str
    round: int | None


def parse(message: str) -> BallotText:
    """Parse a ``zmart-1`` text; composing the result again must give the same text.

    Raises:
        BallotRejected: It names the line that is invalid.
    """
    if len(message) > MAX_MESSAGE:
        raise BallotRejected("message", f"is longer than {MAX_MESSAGE} characters")
    try:
        text = _parse_values(read_lines(message, TITLE, _LABELS))
    except MalformedText as error:
        raise BallotRejected("message", str(error)) from None
    if text.compose() != message:
        raise BallotRejected("message", "is not in the exact form of this scheme")
    return text


def _parse_values(values: dict[str, str]) -> BallotText:
    kind = next((kind for kind in VOTE_CHOICES if kind == values["vote"]), None)
    if kind is None:
        raise MalformedText("its vote is neither proposal nor dispute")
    if values["choice"] not in VOTE_CHOICES[kind]:
        raise MalformedText(f"its choice is not one of {', '.join(VOTE_CHOICES[kind])}")
    if not re.fullmatch(r"[0-9]{1,9}", values["round"]):
        raise MalformedText("its round is not a number of 1 to 9 digits")
    if not re.fullmatch(r"[0-9a-f]{64}", values["market"]):
        raise MalformedText("its market is not 64 hexadecimal digits")
    if not re.fullmatch(r"[a-z]{1,20}", values["network"]):
        raise MalformedText("its network is not a name of 1 to 20 lower-case letters")
    if not NONCE.fullmatch(values["nonce"]):
        raise MalformedText("its nonce is not 8 to 64 letters, digits, - or _")
    try:
        program = bytes(Pubkey.from_string(values["program"]))
    except ValueError:
        raise MalformedText("its program is not an address") from None
    return BallotText(
        program=program,
        network=values["network"],
        market_id=bytes.fromhex(values["market"]),
        kind=kind,
        round=int(values["round"]),
        choice=values["choice"] == VOTE_CHOICES[kind][0],
        nonce=values["nonce"],
        expires=read_time(values["expires"], "expiry"),
    )


def check_ballot(
    ballot: SignedBallot,
    *,
    program: bytes,
    network: str,
    now: datetime,
    ttl: timedelta,
    older: bool = False,
) -> Proof:
    """Check everything of a ballot that needs no database, and return its proof.

    The signed text must state what the ballot claims, for this program and network, must not
    have expired at ``now``, and must not expire later than ``ttl`` from ``now``.

    Raises:
        BallotRejected: A check failed.
    """
    if len(ballot.market_id) != 32:
        raise BallotRejected("market_id", "is not 32 bytes long")
    if len(ballot.wallet) != 32:
        raise BallotRejected("wallet", "is not 32 bytes long")
    if len(ballot.signature) != 64:
        raise BallotRejected("signature", "is not 64 bytes long")
    # ASCII has only one encoding, so the text is preserved by every store and bundle.
    if not 0 < len(ballot.message) <= MAX_MESSAGE or not ballot.message.isascii():
        raise BallotRejected("message", f"is not 1 to {MAX_MESSAGE} ASCII characters")
    if "\x00" in ballot.message:
        raise BallotRejected("message", "contains a NUL character")
    sign_in = parse_sign_in(ballot.message)
    if sign_in is None:
        proof = _check_own_scheme(ballot, program, network, now, ttl)
    elif older:
        proof = _check_sign_in(sign_in, now)
    else:
        raise OlderBallot
    if not is_signed_by(ballot.message, ballot.signature, ballot.wallet, program):
        raise BallotRejected("signature", "is not this wallet's signature of this message")
    return proof


def _check_own_scheme(
    ballot: SignedBallot, program: bytes, network: str, now: datetime, ttl: timedelta
) -> Proof:
    text = parse(ballot.message)
    claims = (
        ("program", text.program == program),
        ("network", text.network == network),
        ("market", text.market_id == ballot.market_id),
        ("vote", text.kind == ballot.kind),
        ("choice", text.choice == ballot.choice),
    )
    for label, agrees in claims:
        if not agrees:
            raise BallotRejected(
                "message", f"its line {label!r} differs from the request; sign a new ballot"
            )
    if text.expires <= now:
        raise BallotExpired("message", "has expired; sign a new ballot")
    if text.expires > now + ttl:
        raise BallotRejected(
            "message",
            f"expires more than {int(ttl.total_seconds())} s ahead; sign one that expires earlier",
        )
    return Proof(scheme=SCHEME, nonce=text.nonce, round=text.round)


def _check_sign_in(text: SignInText, now: datetime) -> Proof:
    if not now - text.ballot_age <= text.signed_at <= now + _MAX_CLOCK_SKEW:
        raise BallotExpired(
            "message",
            f"was not signed within the last {int(text.ballot_age.total_seconds())} s; sign again",
        )
    return Proof(scheme=text.scheme, nonce=text.milliseconds, round=None)
