"""The sign-in texts of older clients: a time and nothing else.

Such a signature proves a wallet and no act. It identifies the sender of a read; the text that
older servers asked for in the body is also good for one write, whose signature is recorded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

SignInScheme = Literal["login-body", "login-header"]

_TIMESTAMP: Final = r"Timestamp: ([0-9]{13})"
# Scheme, the whole text, and how long a ballot signed with it is valid.
_TEMPLATES: Final[tuple[tuple[SignInScheme, re.Pattern[str], timedelta], ...]] = (
    (
        "login-body",
        re.compile(r"Sign this message to authenticate with ZMART\n\n?" + _TIMESTAMP),
        timedelta(minutes=5),
    ),
    ("login-header", re.compile(r"Sign in to ZMART\n" + _TIMESTAMP), timedelta(minutes=60)),
)


class SignInText(msgspec.Struct, frozen=True):
    """A sign-in text.

    Attributes:
        scheme: ``login-body``: the text sent in bodies; ``login-header``: the one sent in headers.
        milliseconds: Its time as written, Unix milliseconds.
        ballot_age: How long a ballot signed with it is valid.
    """

    scheme: SignInScheme
    milliseconds: str
    ballot_age: timedelta

    @property
    def signed_at(self) -> datetime:
        """The time of signing, by the signer's clock."""
        return datetime.fromtimestamp(int(self.milliseconds) / 1000, UTC)


def parse_sign_in(message: str) -> SignInText | None:
    """Return the sign-in text that ``message`` is, None where it is anything else or more."""
    for scheme, template, ballot_age in _TEMPLATES:
        match = template.fullmatch(message)
        if match is not None:
            return SignInText(scheme, match[1], ballot_age)
    return None
