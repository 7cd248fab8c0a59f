"""What every route of a write does: find the permission, then have the effect once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy import Connection

from api.database import Database
from api.identity import auth, idempotency
from api.identity.auth import AuthorizedWrite
from api.identity.caller import Caller
from api.identity.idempotency import IdempotencyKey, Outcome
from api.requests.bodies import ProofOnly, SignedBody
from zmart_pipelines.proofs.request_text import Action
from zmart_pipelines.settings import Settings

T = TypeVar("T")


class Writes(msgspec.Struct, frozen=True):
    """The write of one request; ``key`` is its ``Idempotency-Key``."""

    request: Request[Any, Any, Any]
    database: Database
    settings: Settings
    caller: Caller
    key: str | None

    async def authorize(
        self, body: SignedBody | None, action: Action, subject: str
    ) -> AuthorizedWrite:
        """Return what permits the write; raise ApiError 400 or 401 where nothing does."""
        return await auth.authorize(
            self.request, body or ProofOnly(), self.settings, self.caller, action, subject
        )

    async def check(self, permit: AuthorizedWrite) -> bool:
        """Return whether the same write was served before.

        Raise what :meth:`once` would raise before the effect: before an effort it is worth.
        """
        return await self.database.write(
            permit.wallet, idempotency.require_admissible(permit, self.key, self.settings)
        )

    async def once(
        self, permit: AuthorizedWrite, answer_type: type[T], work: Callable[[Connection], T]
    ) -> Outcome[T]:
        """Have the effect, or return what the same request was answered before."""
        return await self.database.write(
            permit.wallet, idempotency.once(work, answer_type, permit, self.key, self.settings)
        )

    async def perform(
        self,
        body: SignedBody | None,
        action: Action,
        subject: str,
        answer_type: type[T],
        work: Callable[[Connection, AuthorizedWrite], T],
    ) -> T:
        """Do both: authorize, then have the effect once, and return the answer."""
        permit = await self.authorize(body, action, subject)
        outcome = await self.once(permit, answer_type, lambda conn: work(conn, permit))
        return outcome.answer


def provide_writes(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
    idempotency_key: IdempotencyKey = None,
) -> Writes:
    """Return the dependency ``writes`` of a request."""
    return Writes(request, database, settings, caller, idempotency_key)
