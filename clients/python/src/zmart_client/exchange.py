"""The course of one call, without input or output, so that both clients follow the same.

A client runs the steps and sends back what came of each.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

import httpx

from zmart_client.call import Call
from zmart_client.errors import ApiError, error_of
from zmart_client.retries import RetryPolicy, is_repeatable
from zmart_client.session import Session, Tokens

# They begin, continue or end a session by other means than an access token.
_WITHOUT_SESSION = frozenset(
    f"/api/auth/{step}" for step in ("nonce", "verify", "refresh", "logout")
)


@dataclass(frozen=True)
class Send:
    """Send the call with these headers; the outcome is the response or why there is none."""

    headers: dict[str, str]


@dataclass(frozen=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Renew:
    """Renew the session, unless it has other tokens than these by now."""

    tokens: Tokens


Step: TypeAlias = Send | Sleep | Renew
Outcome: TypeAlias = httpx.Response | httpx.TransportError | None
Steps: TypeAlias = Generator[Step, Outcome, httpx.Response]


def exchange(call: Call[object], session: Session, policy: RetryPolicy, key: str | None) -> Steps:
    """Yield the steps of a call; return the successful response.

    Args:
        call: What is sent.
        session: Who calls.
        policy: How often.
        key: The write's idempotency key; None makes one.

    Raises:
        ApiError: The API answered with an error that one more attempt does not mend.
        httpx.TransportError: No answer came.
    """
    fixed = _key_header(call, key)
    identified = call.path not in _WITHOUT_SESSION
    may_renew = identified
    for attempt in count(1):
        if identified and session.tokens is not None and session.is_ending():
            yield Renew(session.tokens)
        tokens = session.tokens
        outcome = yield Send(fixed | (session.headers() if identified else {}))
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return outcome
        failure = _failure(outcome)
        if may_renew and tokens is not None and session.is_renewable_after(failure):
            may_renew = False
            yield Renew(tokens)
            continue
        wait = policy.wait_after(call, failure, attempt)
        if wait is None:
            session.end_by(failure)
            raise failure
        yield Sleep(wait)
    raise AssertionError("attempts are bounded")


def _failure(outcome: Outcome) -> ApiError | httpx.TransportError:
    if isinstance(outcome, httpx.Response):
        return error_of(outcome)
    return outcome or httpx.TransportError("no answer")


def _key_header(call: Call[object], key: str | None) -> dict[str, str]:
    if not call.writes or not is_repeatable(call):
        return {}
    return {"Idempotency-Key": key or secrets.token_hex(16)}
