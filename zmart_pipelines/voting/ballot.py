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

Two older texts are accepted while ``accept_older_ballots`` is set. They contain a time and
nothing else, so the ballot's market and choice are those of the request; such ballots keep the
older scheme's name permanently.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.program.vote_choices import VOTE_CHOICES

Kind = Literal["proposal", "dispute"]
Scheme = Literal["zmart-1", "login-body", "login-header"]

SCHEME: Scheme = "zmart-1"
TITLE = f"ZMART ballot {SCHEME}"
MAX_MESSAGE = 1000
_LABELS = ("program", "network", "market", "vote", "round", "choice", "nonce", "expires")
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TIME_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

# Texts of older clients: scheme, pattern, and how long after its time one is valid.
_OLDER_SCHEMES: tuple[tuple[Scheme, re.Pattern[str], timedelta], ...] = (
    (
        "login-body",
        re.compile(
            r"Sign this message to authenticate with ZMART\b.*?(?<!\d)(\d{13})(?!\d)", re.DOTALL
        ),
        timedelta(minutes=5),
    ),
    (
        "login-header",
        re.compile(r"\ASign in to ZMART\nTimestamp: (\d{13})\Z"),
        timedelta(minutes=60),
    ),
)
_MAX_CLOCK_SKEW = timedelta(minutes=5)


class BallotRejected(ValueError):
    """The ballot is not accepted: ``field`` is invalid, ``reason`` says why and the remedy."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


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
            self.expires.astimezone(UTC).strftime(_TIME_FORMAT),
        )
        lines = (f"{label}: {value}" for label, value in zip(_LABELS, values, strict=True))
        return "\n".join((TITLE, *lines))


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
    lines = message.split("\n")
    if lines[0] != TITLE:
        raise BallotRejected("message", f"does not begin with the line {TITLE!r}")
    if len(lines) != 1 + len(_LABELS):
        raise BallotRejected("message", f"has {len(lines)} lines instead of {1 + len(_LABELS)}")
    values: dict[str, str] = {}
    for label, line in zip(_LABELS, lines[1:], strict=True):
        prefix = f"{label}: "
        if not line.startswith(prefix):
            raise BallotRejected("message", f"does not have its line {prefix!r} in place")
        values[label] = line[len(prefix) :]
    text = _parse_values(values)
    if text.compose() != message:
        raise BallotRejected("message", "is not in the exact form of this scheme")
    return text


def _parse_values(values: dict[str, str]) -> BallotText:
    kind = next((kind for kind in VOTE_CHOICES if kind == values["vote"]), None)
    if kind is None:
        raise BallotRejected("message", "its vote is neither proposal nor dispute")
    if values["choice"] not in VOTE_CHOICES[kind]:
        raise BallotRejected("message", f"its choice is not one of {', '.join(VOTE_CHOICES[kind])}")
    if not re.fullmatch(r"[0-9]{1,9}", values["round"]):
        raise BallotRejected("message", "its round is not a number of 1 to 9 digits")
    if not re.fullmatch(r"[0-9a-f]{64}", values["market"]):
        raise BallotRejected("message", "its market is not 64 hexadecimal digits")
    if not re.fullmatch(r"[a-z]{1,20}", values["network"]):
        raise BallotRejected("message", "its network is not a name of 1 to 20 lower-case letters")
    if not _NONCE.fullmatch(values["nonce"]):
        raise BallotRejected("message", "its nonce is not 8 to 64 letters, digits, - or _")
    try:
        program = bytes(Pubkey.from_string(values["program"]))
    except ValueError:
        raise BallotRejected("message", "its program is not an address") from None
    try:
        if not _TIME_PATTERN.fullmatch(values["expires"]):
            raise ValueError
        expires = datetime.fromisoformat(values["expires"])
    except ValueError:
        raise BallotRejected(
            "message", "its expiry is not a UTC time like 2026-11-20T12:00:00Z"
        ) from None
    return BallotText(
        program=program,
        network=values["network"],
        market_id=bytes.fromhex(values["market"]),
        kind=kind,
        round=int(values["round"]),
        choice=values["choice"] == VOTE_CHOICES[kind][0],
        nonce=values["nonce"],
        expires=expires,
    )


def is_signed_by(message: str, signature: bytes, wallet: bytes) -> bool:
    """Return whether ``signature`` is the wallet's ed25519 signature of the text in UTF-8."""
    if len(signature) != 64 or len(wallet) != 32:
        return False
    return Signature(signature).verify(Pubkey(wallet), message.encode())


def check_ballot(
    ballot: SignedBallot,
    *,
    program: bytes,
    network: str,
    now: datetime,
    ttl: timedelta,
    older: bool = True,
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
    proof = None
    if older and not ballot.message.startswith("ZMART ballot "):
        proof = _check_older_scheme(ballot.message, now)
    if proof is None:
        proof = _check_own_scheme(ballot, program, network, now, ttl)
    if not is_signed_by(ballot.message, ballot.signature, ballot.wallet):
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
        raise BallotRejected("message", "has expired; sign a new ballot")
    if text.expires > now + ttl:
        raise BallotRejected(
            "message",
            f"expires more than {int(ttl.total_seconds())} s ahead; sign one that expires earlier",
        )
    return Proof(scheme=SCHEME, nonce=text.nonce, round=text.round)


class LoginText(msgspec.Struct, frozen=True):
    """A login text of the older clients.

    Attributes:
        scheme: Which of the two texts it is.
        milliseconds: Its time as written, Unix milliseconds.
        age: How long a ballot signed with it is valid.
    """

    scheme: Scheme
    milliseconds: str
    age: timedelta

    @property
    def signed_at(self) -> datetime:
        """The time of signing, by the signer's clock."""
        return datetime.fromtimestamp(int(self.milliseconds) / 1000, UTC)


def parse_login_text(message: str) -> LoginText | None:
    """Return the login text in ``message``, None when it is not one of the two known texts."""
    for scheme, pattern, age in _OLDER_SCHEMES:
        match = pattern.search(message)
        if match is not None:
            return LoginText(scheme, match[1], age)
    return None


def _check_older_scheme(message: str, now: datetime) -> Proof | None:
    login = parse_login_text(message)
    if login is None:
        return None
    if not now - login.age <= login.signed_at <= now + _MAX_CLOCK_SKEW:
        raise BallotRejected(
            "message",
            f"was not signed within the last {int(login.age.total_seconds())} s; sign again",
        )
    return Proof(scheme=login.scheme, nonce=login.milliseconds, round=None)
