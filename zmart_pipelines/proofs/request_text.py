"""The text that a wallet signs for one write: a comment, a vote on one, a market draft, ...

It names the service, the chain, the action, what it acts on and the digest of the request's
body, so that the signature is good for this request and no other::

    ZMART request zmart-request-1
    domain: localhost
    program: 6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw
    network: localnet
    action: comment
    subject: 0101010101010101010101010101010101010101010101010101010101010101
    body: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
    nonce: 5b1c0c8f9a7e4d21
    issued: 2026-11-20T12:00:00Z
    expires: 2026-11-20T12:05:00Z
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal, get_args

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.proofs.labelled_text import (
    NONCE,
    MalformedText,
    compose,
    read_lines,
    read_time,
    written_time,
)

Action = Literal[
    "comment",
    "edit-comment",
    "delete-comment",
    "vote-comment",
    "unvote-comment",
    "report-comment",
    "profile",
    "draft",
    "replace-draft",
    "delete-draft",
    "document",
]

SCHEME: Final = "zmart-request-1"
TITLE: Final = f"ZMART request {SCHEME}"
MAX_MESSAGE: Final = 1000
# How far the signer's clock may be ahead of ours.
MAX_CLOCK_SKEW: Final = timedelta(minutes=1)
# The fields of a body that carry the proof and are not signed.
PROOF_FIELDS: Final = frozenset({"message", "signature", "wallet"})
_LABELS: Final = (
    "domain",
    "program",
    "network",
    "action",
    "subject",
    "body",
    "nonce",
    "issued",
    "expires",
)
_ACTIONS: Final = get_args(Action)
_DOMAIN: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_SUBJECT: Final = re.compile(r"[A-Za-z0-9 -]{1,100}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class RequestRejected(ValueError):
    """The signed text does not permit the request: the message says why."""


class RequestExpired(RequestRejected):
    """The signed text would permit the request, but has expired."""


class Service(msgspec.Struct, frozen=True):
    """The service that a text is for: its domain, its program (32 bytes) and the network."""

    domain: str
    program: bytes
    network: str


class Operation(msgspec.Struct, frozen=True):
    """What a request does.

    Attributes:
        action: The kind of write.
        subject: The market, comment or other thing that it acts on, as the request names it.
        body: Digest of the request's body, see :func:`body_digest`.
    """

    action: Action
    subject: str
    body: str


class RequestText(msgspec.Struct, frozen=True):
    """The content of a ``zmart-request-1`` text. Times are in whole seconds UTC."""

    service: Service
    operation: Operation
    nonce: str
    issued: datetime
    expires: datetime

    def compose(self) -> str:
        """Return the text to sign, without a final newline."""
        values = (
            self.service.domain,
            str(Pubkey(self.service.program)),
            self.service.network,
            self.operation.action,
            self.operation.subject,
            self.operation.body,
            self.nonce,
            written_time(self.issued),
            written_time(self.expires),
        )
        return compose(TITLE, _LABELS, values)


def body_digest(body: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of a request's body as canonical JSON (RFC 8785).

    The fields that carry the proof are left out.

    Raises:
        NotCanonical: It contains an integer beyond 2^53 - 1 or a number that is not finite.
    """
    signed = {name: value for name, value in body.items() if name not in PROOF_FIELDS}
    return sha256(canonical_bytes(signed)).hexdigest()


def is_request_text(message: str) -> bool:
    """Return whether the text claims to be of this scheme."""
    return message.startswith("ZMART request ")


def parse(message: str) -> RequestText:
    """Parse a ``zmart-request-1`` text; composing the result again must give the same text.

    Raises:
        RequestRejected: It names the line that is invalid.
    """
    if len(message) > MAX_MESSAGE:
        raise RequestRejected(f"is longer than {MAX_MESSAGE} characters")
    try:
        text = _parse_values(read_lines(message, TITLE, _LABELS))
    except MalformedText as error:
        raise RequestRejected(str(error)) from None
    if text.compose() != message:
        raise RequestRejected("is not in the exact form of this scheme")
    return text


def _parse_values(values: dict[str, str]) -> RequestText:
    action = next((action for action in _ACTIONS if action == values["action"]), None)
    if action is None:
        raise MalformedText(f"its action is not one of {', '.join(_ACTIONS)}")
    for label, pattern, expected in (
        ("domain", _DOMAIN, "a domain name"),
        ("network", re.compile(r"[a-z]{1,20}"), "a name of 1 to 20 lower-case letters"),
        ("subject", _SUBJECT, "1 to 100 letters, digits, hyphens or spaces"),
        ("body", _DIGEST, "64 hexadecimal digits"),
        ("nonce", NONCE, "8 to 64 letters, digits, - or _"),
    ):
        if not pattern.fullmatch(values[label]):
            raise MalformedText(f"its {label} is not {expected}")
    try:
        program = bytes(Pubkey.from_string(values["program"]))
    except ValueError:
        raise MalformedText("its program is not an address") from None
    return RequestText(
        service=Service(values["domain"], program, values["network"]),
        operation=Operation(action, values["subject"], values["body"]),
        nonce=values["nonce"],
        issued=read_time(values["issued"], "time of issue"),
        expires=read_time(values["expires"], "expiry"),
    )


def check(
    message: str, *, service: Service, operation: Operation, now: datetime, ttl: timedelta
) -> None:
    """Check that the text permits this operation of this service at ``now``.

    The signature is checked by the caller. ``ttl`` is the longest validity from issue to expiry.

    Raises:
        RequestExpired: It permits the operation but has expired.
        RequestRejected: It does not permit it.
    """
    text = parse(message)
    claims = (
        ("domain", text.service.domain == service.domain),
        ("program", text.service.program == service.program),
        ("network", text.service.network == service.network),
        ("action", text.operation.action == operation.action),
        ("subject", text.operation.subject == operation.subject),
        ("body", text.operation.body == operation.body),
    )
    for label, agrees in claims:
        if not agrees:
            raise RequestRejected(f"its line {label!r} differs from the request; sign a new text")
    if text.issued > now + MAX_CLOCK_SKEW:
        raise RequestRejected("was issued in the future; correct the clock and sign a new text")
    if not timedelta() < text.expires - text.issued <= ttl:
        raise RequestRejected(
            f"is valid for longer than {int(ttl.total_seconds())} s; sign one that expires earlier"
        )
    if text.expires <= now:
        raise RequestExpired("has expired; sign a new text")
