"""What a client raises when the API does not do what was asked."""

from __future__ import annotations

import httpx
import msgspec

from zmart_client import models

UNREADABLE = "unreadable_answer"


class ApiError(Exception):
    """The API answered with an error.

    Attributes:
        status: HTTP status.
        code: The error's code, which programs test (docs/api.md lists them);
            ``unreadable_answer`` where something else than the API answered.
        message: Explanation for people.
        body: All members of the error; None where something else answered.
        request_id: Names the request in the server's log.
        retry_after: Seconds after which the same call may succeed; None where the API names none.
    """

    def __init__(self, status: int, body: models.ErrorBody | None, headers: httpx.Headers) -> None:
        self.status = status
        self.body = body
        self.code = UNREADABLE if body is None else body.code
        self.message = f"HTTP status {status}" if body is None else body.message
        self.request_id = headers.get("x-request-id")
        self.retry_after = retry_after(headers)
        super().__init__(f"{status} {self.code}: {self.message}")


class TransactionFailed(Exception):
    """A transaction that was handed in did not take effect, and never will.

    Attributes:
        transaction: How far it came; its ``state`` is ``failed`` or ``expired``.
        reason: Name of the program's or the runtime's error; ``expired`` where it did not land.
    """

    def __init__(self, transaction: models.RelayedTransaction) -> None:
        self.transaction = transaction
        self.reason = transaction.state if transaction.error is None else transaction.error.name
        super().__init__(f"{transaction.signature}: {self.reason}")


def error_of(response: httpx.Response) -> ApiError:
    """Return the error that a response states."""
    try:
        body = msgspec.json.decode(response.content, type=models.ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    return ApiError(response.status_code, body, response.headers)


def retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds of ``Retry-After``; None without one in seconds."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None
