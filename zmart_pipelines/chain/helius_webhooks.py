"""Client of the webhooks of a Helius account.

https://www.helius.dev/docs/api-reference/webhooks. The API key is sent in the query string; no
error and no log line holds it.
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
    """Helius refused or gave no usable response. ``status`` is the HTTP status, if any."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class DesiredWebhook(msgspec.Struct, frozen=True, rename="camel"):
    """The desired configuration: raw transactions of these addresses, failed ones included.

    Attributes:
        webhook_type: ``raw`` or ``rawDevnet``; only raw webhooks carry logs.
        auth_header: the value that Helius sends in the Authorization header.
    """

    url: str = msgspec.field(name="webhookURL")
    account_addresses: list[str]
    webhook_type: str
    auth_header: str
    transaction_types: list[str] = msgspec.field(default_factory=lambda: ["ANY"])
    txn_status: str = "all"

    def __repr__(self) -> str:
        return f"DesiredWebhook({self.url}, {self.webhook_type})"


class Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """A webhook as configured at Helius.

    Attributes:
        active: False once it was switched off, by an operator or by Helius because too many
            deliveries failed; a response without the field means active.
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

    def differences(self, desired: DesiredWebhook) -> list[str]:
        """Return the names of the fields that are not as desired, never their values."""
        pairs = {
            "url": (self.url, desired.url),
            "addresses": (sorted(self.account_addresses), sorted(desired.account_addresses)),
            "type": (self.webhook_type, desired.webhook_type),
            "secret": (self.auth_header, desired.auth_header),
            "transaction types": (
                [name.upper() for name in self.transaction_types],
                desired.transaction_types,
            ),
            # Helius omits the default.
            "status": (self.txn_status or "all", desired.txn_status),
        }
        return [name for name, (actual, wanted) in pairs.items() if actual != wanted]


class HeliusClient:
    """A client of one account's webhooks. Each edit costs 100 credits."""

    def __init__(self, url: str, key: SecretStr, timeout: float = TIMEOUT) -> None:
        """Create the client; ``timeout`` in seconds.

        Raises:
            HeliusError: the key must not be sent to ``url``, which is not https.
        """
        parts = urlsplit(url)
        self._label = parts.netloc
        self._key = key
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not loopback:
            raise HeliusError("HELIUS_API_URL must be https://, because the key is sent to it")
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
        """Return all webhooks of the account, or raise HeliusError."""
        return self._call("GET", "/v0/webhooks", list[Webhook])

    def create(self, desired: DesiredWebhook) -> Webhook:
        """Create a webhook, which is active at once, or raise HeliusError."""
        return self._call("POST", "/v0/webhooks", Webhook, desired)

    def update(self, webhook_id: str, desired: DesiredWebhook) -> Webhook:
        """Replace the configuration of a webhook, or raise HeliusError."""
        return self._call("PUT", _path(webhook_id), Webhook, desired)

    def activate(self, webhook_id: str) -> Webhook:
        """Switch a webhook on again, or raise HeliusError."""
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
            raise HeliusError(f"{self._label} did not respond in time") from None
        except httpx.HTTPError as error:
            raise HeliusError(f"{type(error).__name__} at {self._label}") from None
        if not response.is_success:
            raise HeliusError(self._reason(response), response.status_code)
        try:
            return msgspec.json.decode(response.content, type=result)
        except (msgspec.MsgspecError, UnicodeError):
            raise HeliusError(
                f"{self._label} responded to {method} {path} with unexpected JSON"
            ) from None

    def _reason(self, response: httpx.Response) -> str:
        """Return the refusal in one line, without its text, which may repeat the request."""
        hints = {
            401: ": HELIUS_API_KEY is not accepted",
            403: ": the key lacks the permission",
            404: ": there is no such webhook",
            429: ": too many requests, try again later",
        }
        hint = hints.get(response.status_code, "")
        return f"{self._label} responded with HTTP {response.status_code}{hint}"


def _path(webhook_id: str) -> str:
    return f"/v0/webhooks/{quote(webhook_id, safe='')}"
