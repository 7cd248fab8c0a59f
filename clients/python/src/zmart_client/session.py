"""The session of a wallet that signed in: its tokens, and when they are renewed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from zmart_client import models
from zmart_client.errors import ApiError

# Renewed so many seconds before its end, so that a call does not arrive after it.
_MARGIN = 30.0
_RENEWABLE = frozenset(("access_token_expired", "access_token_invalid"))
# Answers to a renewal after which only a new sign-in helps.
_ENDED = frozenset(("session_ended", "refresh_token_invalid", "refresh_token_reused"))


@dataclass(frozen=True)
class Tokens:
    """What a sign-in returns; keep it like a password.

    Attributes:
        access_token: Sent with each call.
        refresh_token: Renews the session once; its successor comes with the answer.
        expires_at: Unix seconds until which the access token is good, by this machine's clock.
    """

    access_token: str
    refresh_token: str
    expires_at: float


def tokens_of(answer: models.SignedIn) -> Tokens:
    """Return the tokens of a sign-in's answer."""
    if answer.access_token is None or answer.refresh_token is None:
        raise ValueError("the tokens were set as cookies")
    expires_at = time.time() + answer.expires_in
    return Tokens(answer.access_token, answer.refresh_token, expires_at)


class Session:
    """The tokens of a client, or none.

    Attributes:
        tokens: None while no wallet is signed in.
    """

    def __init__(
        self, tokens: Tokens | None, on_change: Callable[[Tokens | None], None] | None
    ) -> None:
        self.tokens = tokens
        self._on_change = on_change

    def change(self, tokens: Tokens | None) -> None:
        """Take other tokens, or none, and report them."""
        self.tokens = tokens
        if self._on_change is not None:
            self._on_change(tokens)

    def headers(self) -> dict[str, str]:
        """Return the headers that show who calls."""
        if self.tokens is None:
            return {}
        return {"Authorization": f"Bearer {self.tokens.access_token}"}

    def is_ending(self) -> bool:
        """Return whether the access token has ended or soon will."""
        return self.tokens is not None and self.tokens.expires_at - _MARGIN < time.time()

    def is_renewable_after(self, error: Exception) -> bool:
        """Return whether a call may succeed with another access token."""
        return isinstance(error, ApiError) and error.code in _RENEWABLE

    def renew(self, answer: models.SignedIn) -> None:
        """Take the tokens of a sign-in or a renewal."""
        self.change(tokens_of(answer))

    def end_by(self, error: Exception) -> None:
        """Give up the tokens where an error says that only a new sign-in helps."""
        if isinstance(error, ApiError) and error.code in _ENDED and self.tokens is not None:
            self.change(None)
