"""When a call is sent once more, and how much later. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from zmart_client.call import Call
from zmart_client.errors import ApiError

_REFUSED = 429
# A write with the same key is still being carried out; something is away.
_LATER = frozenset((409, 503))
_SIGN_IN = "/api/auth/verify"


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is sent, and how long it is waited for.

    Attributes:
        attempts: Most times that one call is sent.
        longest_wait: Seconds; where the API asks for a longer wait, its error is raised at once.
        first_wait: Seconds before the second attempt where the API names no time; doubled after.
    """

    attempts: int = 4
    longest_wait: float = 30.0
    first_wait: float = 0.5

    def wait_after(self, call: Call[object], failure: Exception, attempt: int) -> float | None:
        """Return the seconds to wait after a failed attempt (from 1); None to give up.

        A 429 was refused before anything was done. Other calls are repeated where the API names a
        time, or gave no answer at all, and repeating it has no further effect.
        """
        if isinstance(failure, ApiError):
            may_succeed, asked = _may_succeed(call, failure), failure.retry_after
        else:
            may_succeed, asked = is_repeatable(call), None
        return self._wait(asked, attempt) if may_succeed else None

    def _wait(self, asked: float | None, attempt: int) -> float | None:
        if attempt >= self.attempts:
            return None
        seconds = self.first_wait * 2 ** (attempt - 1) if asked is None else asked
        return seconds if seconds <= self.longest_wait else None


def _may_succeed(call: Call[object], error: ApiError) -> bool:
    if error.status == _REFUSED:
        return True
    return error.status in _LATER and error.retry_after is not None and is_repeatable(call)


def is_repeatable(call: Call[object]) -> bool:
    """Return whether a call may be sent twice: it reads, or its idempotency key has it done once.

    A sign-in uses up its text, whatever becomes of it.
    """
    return call.path != _SIGN_IN
