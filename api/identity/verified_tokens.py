"""Access tokens that this process has verified: each costs its signature once."""

from __future__ import annotations

import time
from typing import Final

from zmart_pipelines.proofs.access_tokens import AccessClaims, AccessTokens, TokenExpired

# Some hundred bytes each.
_CAPACITY: Final = 10_000


class VerifiedTokens:
    """Verifies tokens, and remembers those that are valid until they expire."""

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens
        self._known: dict[str, AccessClaims] = {}

    def claims(self, token: str) -> AccessClaims:
        """Return what the token says.

        Raises:
            TokenExpired: It was valid before.
            TokenRejected: It is not valid.
        """
        known = self._known.get(token)
        if known is None:
            known = self._tokens.verify(token)
            if len(self._known) >= _CAPACITY:
                self._known.pop(next(iter(self._known)))
            self._known[token] = known
        elif known.expires <= time.time():
            del self._known[token]
            raise TokenExpired("the access token has expired")
        return known
