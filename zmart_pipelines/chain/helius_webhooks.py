"""The webhooks of a Helius account: https://www.helius.dev/docs/api-reference/webhooks.

The key travels in the query string; no error and no log line holds it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from pydantic import SecretStr

T = TypeVar("T")

TIMEOUT: Final = 15.0


class HeliusError(Exception):
    """Helius refused, or gave no usable answer. ``status`` is the HTTP status, if any."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Desired(msgspec.Struct, frozen=True, rename="camel"):
    """What a webhook shall be: whole transactions of these addresses, failed ones too.

    :ivar webhook_type: ``raw`` or ``rawDevnet``; only raw ones carry logs.
    :ivar auth_header: the value that Helius puts into Authorization.
    """

    url: str = msgspec.field(name="webhookURL")
    account_addresses: list[str]
    webhook_type: str
    auth_header: str
    transaction_types: list[str] = msgspec.field(default_factory=lambda: ["ANY"])
    txn_status: str = "all"

    def __repr__(self) -> str:
        return f"Desired({self.url}, {self.webhook_type})"


class Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """A webhook as Helius has it. ``active`` is False once it was switched off, by a person
    or by Helius because too many deliveries failed; an answer without it means active.
    """

    id: str = msgspec.field(name="webhookID")
    url: str = msgspec.field(name="webhookURL")
    webhook_type: str
    account_addresses: list[str] = []
    transaction_types: list[str] = []
    auth_header: str | None = None
    txn_status: str | None = None
    active: bool = True

    def __repr__(self) -> str:
        return f"Webhook({self.id}, {self.url}, active={self.active})"

    def differs(self, desired: Desired) -> list[str]:
        """The names of what is not as desired; of the secret only that it differs."""
        pairs = {
            "url": (self.url, desired.url),
            "addresses": (sorted(self.account_addresses), sorted(desired.account_addresses)),
            "type": (self.webhook_type, desired.webhook_type),
            "secret": (self.auth_header, desired.auth_header),
            "transaction types": (
                [one.upper() for one in self.transaction_types],
                desired.transaction_types,
            ),
            # Left out it is all.
            "status": (self.txn_status or "all", desired.txn_status),
        }
        return [name for name, (is_, wanted) in pairs.items() if is_ != wanted]


class HeliusClient:
    """The webhooks of one account. Each edit costs 100 credits."""

    def __init__(self, url: str, key: SecretStr, timeout: float = TIMEOUT) -> None:
        """``timeout`` in seconds. HeliusError for an address that the key must not go to."""
        parts = urlsplit(url)
        self._label = parts.netloc
        self._key = key
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not loopback:
            raise HeliusError("HELIUS_API_URL must be https://, the key is sent to it")
        self._http = httpx.Client(
            base_url=url,
            timeout=timeout,
            trust_env=not loopback,
            verify=parts.scheme == "https",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def webhooks(self) -> list[Webhook]:
        """All webhooks of the account. HeliusError."""
        return self._call("GET", "/v0/webhooks", list[Webhook])

    def create(self, desired: Desired) -> Webhook:
        """Make a webhook; it is active at once. HeliusError."""
        return self._call("POST", "/v0/webhooks", Webhook, desired)

    def update(self, webhook_id: str, desired: Desired) -> Webhook:
        """Replace what a webhook is. HeliusError."""
        return self._call("PUT", _path(webhook_id), Webhook, desired)

    def activate(self, webhook_id: str) -> Webhook:
        """Switch a webhook on again. HeliusError."""
        return self._call("PATCH", _path(webhook_id), Webhook, {"active": True})

    def _call(self, method: str, path: str, result: type[T], body: Any = None) -> T:
        try:
            response = self._http.request(
                method,
                path,
                params={"api-key": self._key.get_secret_value()},
                content=None if body is None else msgspec.json.encode(body),
                headers={"content-type": "application/json"},
            )
        except httpx.TimeoutException:
            raise HeliusError(f"{self._label} did not answer in time") from None
        except httpx.HTTPError as error:
            raise HeliusError(f"{type(error).__name__} at {self._label}") from None
        if not response.is_success:
            raise HeliusError(self._reason(response), response.status_code)
        try:
            return msgspec.json.decode(response.content, type=result)
        except (msgspec.MsgspecError, UnicodeError):
            raise HeliusError(f"{self._label} answered {method} {path} in another shape") from None

    def _reason(self, response: httpx.Response) -> str:
        """The refusal in one line; Helius may repeat what it was sent, so not its text."""
        hints = {
            401: ": HELIUS_API_KEY is not accepted",
            403: ": the key may not do this",
            404: ": there is no such webhook",
            429: ": too many requests, try again later",
        }
        hint = hints.get(response.status_code, "")
        return f"{self._label} answered HTTP {response.status_code}{hint}"


def _path(webhook_id: str) -> str:
    return f"/v0/webhooks/{quote(webhook_id, safe='')}"
