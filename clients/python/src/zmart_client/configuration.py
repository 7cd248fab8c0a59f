"""What both clients are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zmart_client.retries import RetryPolicy
from zmart_client.session import Session, Tokens


@dataclass(frozen=True)
class Configuration:
    """How a client calls the API.

    Attributes:
        api_key: Key of a service; wallets sign in instead.
        tokens: Those of an earlier sign-in, to go on with its session.
        on_tokens: Called with the new tokens after each sign-in and renewal, to keep them, and
            with None after a sign-out.
        retries: How often a call is sent, and how long it is waited for.
        timeout: Seconds for a connection, and for each part of an answer.
    """

    api_key: str | None = None
    tokens: Tokens | None = None
    on_tokens: Callable[[Tokens | None], None] | None = None
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float = 30.0

    def session(self) -> Session:
        """Return the session that a client begins with."""
        return Session(self.tokens, self.on_tokens)

    def http(self) -> dict[str, Any]:
        """Return the arguments of httpx's clients."""
        headers = {} if self.api_key is None else {"X-Api-Key": self.api_key}
        return {"timeout": self.timeout, "headers": headers}


DEFAULT = Configuration()
