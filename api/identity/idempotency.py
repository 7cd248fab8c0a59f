"""The same write again has no further effect and gets the same answer.

A write is known by its ``Idempotency-Key``, or by its signature where it has no key. Its answer is
stored in the transaction of its effect, so that there is one exactly where there is the other: a
write that was refused may be sent again under its key. Routes have one status of success each, so
that the answer's body is all that has to be kept.

The caller has verified the request, because a stored answer is shown to its wallet alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Generic, TypeAlias, TypeVar

import msgspec
from litestar.params import HeaderParameter
from solders.signature import Signature
from sqlalchemy import Connection

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError
from api.identity import signed_requests
from api.identity.auth import AuthorizedWrite
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.locks import try_lock_idempotency_key
from zmart_pipelines.store.queries import idempotency_keys

T = TypeVar("T")

HEADER: Final = "Idempotency-Key"
MAX_KEY: Final = 100
# Writes take milliseconds.
_RETRY_SECONDS: Final = 1

IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        min_length=1,
        max_length=MAX_KEY,
        description="The same request under the same key has one effect and one answer, for at"
        " least 24 hours.",
    ),
]


class Outcome(msgspec.Struct, Generic[T], frozen=True):
    """What a write returned; ``is_repeated`` where that was stored before."""

    answer: T
    is_repeated: bool


def once(
    work: Callable[[Connection], T],
    answer_type: type[T],
    write: AuthorizedWrite,
    key: str | None,
    settings: Settings,
) -> Callable[[Connection], Outcome[T]]:
    """Return what does the work of a write once, in its transaction, for ``Database.write``.

    It raises ApiError 409 where the key was used for another request or another request is using
    it, 401 where the signature was used and its answer is no longer kept, and as
    ``signed_requests.record``.

    Args:
        work: The effect; it returns the answer.
        answer_type: Of the answer, to read it again from JSON.
        write: The permission, which is recorded.
        key: The request's ``Idempotency-Key``.
        settings: Have the limits on writes.
    """

    def run(conn: Connection) -> Outcome[T]:
        stored = _answer_under_key(conn, write, key) if key is not None else None
        if stored is None and not signed_requests.record(conn, write, settings):
            stored = _answer_of_signature(conn, write)
        if stored is not None:
            return Outcome(msgspec.json.decode(stored, type=answer_type), is_repeated=True)
        answer = work(conn)
        if (known_by := key or _signature_key(write)) is not None:
            encoded = msgspec.json.encode(answer)
            idempotency_keys.store_answer(
                conn, write.wallet, known_by, digest=write.digest, answer=encoded
            )
        return Outcome(answer, is_repeated=False)

    return run


def require_admissible(
    write: AuthorizedWrite, key: str | None, settings: Settings
) -> Callable[[Connection], bool]:
    """Return a check, for ``Database.write``, whether :func:`once` would be served now.

    A write that costs something before its effect, such as a call to the chain, makes it first. It
    returns whether the write has been served before, raises what ``once`` would raise, and records
    nothing.
    """

    def run(conn: Connection) -> bool:
        if key is not None and _answer_under_key(conn, write, key) is not None:
            return True
        if signed_requests.is_repeat(conn, write):
            return True
        signed_requests.require_below_limits(conn, write, settings)
        return False

    return run


def _signature_key(write: AuthorizedWrite) -> str | None:
    signature = write.signature
    return None if signature is None else f"signature {Signature.from_bytes(signature)}"


def _answer_under_key(conn: Connection, write: AuthorizedWrite, key: str) -> bytes | None:
    """Return what the same request was answered; until the commit no other can use the key."""
    if not try_lock_idempotency_key(conn, write.wallet, key):
        raise _conflict(
            ErrorCode.IDEMPOTENCY_KEY_IN_USE,
            "is being used by another request",
            {"Retry-After": str(_RETRY_SECONDS)},
        )
    stored = idempotency_keys.find_answer(conn, write.wallet, key)
    if stored is None:
        return None
    if stored.digest != write.digest:
        raise _conflict(
            ErrorCode.IDEMPOTENCY_KEY_USED, "was already used for another request; send a new key"
        )
    return stored.answer


def _answer_of_signature(conn: Connection, write: AuthorizedWrite) -> bytes:
    """Return what the request was answered that its signature has served."""
    known_by = _signature_key(write)
    stored = idempotency_keys.find_answer(conn, write.wallet, known_by) if known_by else None
    if stored is None:
        raise signed_requests.used()
    return stored.answer


def _conflict(code: ErrorCode, reason: str, headers: dict[str, str] | None = None) -> ApiError:
    return ApiError(
        409, f"{HEADER}: {reason}", FieldError(HEADER, reason), code=code, headers=headers
    )
