"""For whom a connection acts, from when it signs in until its session ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from api.database import Database
from api.errors import ApiError
from api.identity.caller import ANONYMOUS, Caller
from api.realtime import tickets
from api.realtime.session_watch import SessionWatch
from zmart_pipelines.client_schemas.formats import base58_key

# Wrong tickets after which a connection is closed.
MAX_REFUSED: Final = 3


class Authenticated(msgspec.Struct, frozen=True):
    """`data` of an `authenticated` message: for whom the connection acts now.

    `wallet` is null where a service's key is an operator's.
    """

    wallet: str | None
    is_operator: bool


class TooManyRefused(Exception):
    """The connection has sent too many wrong tickets."""


class Identity:
    """The caller of one connection; release it with ``close``."""

    def __init__(
        self, database: Database, watch: SessionWatch, on_change: Callable[[str], None]
    ) -> None:
        """Start as an anonymous caller.

        Args:
            database: Has the tickets.
            watch: Of sessions.
            on_change: Called with a reason whenever the caller is another one than before.
        """
        self.caller: Caller = ANONYMOUS
        self._database = database
        self._watch = watch
        self._on_change = on_change
        self._watching = contextlib.ExitStack()
        self._refused = 0

    async def authenticate(self, ticket: str) -> Authenticated:
        """Act for the ticket's holder from now on.

        Raises:
            ApiError: 401 where the ticket is not good.
            TooManyRefused: It was one wrong ticket too many.
        """
        try:
            caller = await tickets.redeem(self._database, ticket)
        except ApiError as error:
            self._refused += 1
            if self._refused >= MAX_REFUSED:
                raise TooManyRefused from error
            raise
        self._become(caller, "signed_in_again")
        self._watching.enter_context(self._watch.watching(caller, self._end))
        wallet = None if caller.wallet is None else base58_key(caller.wallet)
        return Authenticated(wallet, caller.is_operator)

    def _end(self) -> None:
        self._become(ANONYMOUS, "session_ended")

    def _become(self, caller: Caller, reason: str) -> None:
        self._watching.close()
        self.caller = caller
        self._on_change(reason)

    def close(self) -> None:
        """Stop watching the session."""
        self._watching.close()
