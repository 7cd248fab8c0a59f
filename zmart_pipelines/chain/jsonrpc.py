"""JSON-RPC 2.0 over HTTP: one call to one endpoint, with classified errors.

``zmart_pipelines.chain.endpoint_pool`` retries and chooses among endpoints. No error text
holds the URL's user, path or query, where providers put API keys.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

import httpx
import msgspec
from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

T = TypeVar("T")

# Errors of a node that may succeed later: behind, unhealthy, block not available yet, long-term
# storage down, or below the requested minContextSlot. agave rpc-client-api, custom_error.rs.
NODE_UNHEALTHY: Final = -32005
_TRANSIENT: Final = frozenset({-32004, NODE_UNHEALTHY, -32014, -32016, -32019})

# The preflight error for a blockhash that the node does not know yet, or no longer.
BLOCKHASH_NOT_FOUND: Final = "BlockhashNotFound"

# httpx logs each request with its whole URL, whose query may hold an API key.
logging.getLogger("httpx").setLevel(logging.WARNING)


class RpcError(Exception):
    """The node responded with an error. ``data`` is the error's own data, if any."""

    def __init__(self, code: int, message: str, data: Any = None, method: str = "") -> None:
        super().__init__(f"{method}: {message} ({code})" if method else f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later, or at another node."""
        return self.code in _TRANSIENT

    @property
    def unhealthy(self) -> bool:
        """Whether the node reports itself unhealthy."""
        return self.code == NODE_UNHEALTHY


class RpcUnavailable(Exception):
    """No usable response: no connection, a timeout, an HTTP error, or not JSON-RPC."""


class RateLimited(RpcUnavailable):
    """The endpoint asks for a pause. ``retry_after`` is in seconds, None where not given."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _ErrorObject(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Response(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _ErrorObject | None = None


_response_decoder: Final = msgspec.json.Decoder(_Response)
_encode: Final = msgspec.json.Encoder().encode
_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class JsonRpc:
    """An endpoint, safe to use from several threads. Close it or use it as a context manager.

    Attributes:
        label: scheme, host and port, without secrets.
        name: host and port, without secrets.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """Create the client; ``timeout`` in seconds for each call."""
        self.label = label(url)
        self.name = self.label.partition("://")[2]
        self._url = url
        self._client = httpx.Client(
            timeout=timeout,
            headers={"content-type": "application/json"},
            # A proxy from the environment must not be used for this machine.
            trust_env=not is_local(url),
            # Plain HTTP needs no certificates; loading them takes longer than many calls.
            verify=_certificates() if self.label.startswith("https:") else False,
        )
        self._ids = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label})"

    def call(self, method: str, params: Sequence[Any], result: type[T]) -> T:
        """Send one call, once, and return its result as ``result``, a type.

        Raises:
            RpcError: the node responded with an error.
            RpcUnavailable: there is no usable response.
            RateLimited: the endpoint asks for a pause.
        """
        number = next(self._ids)
        body = _encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        try:
            http_response = self._client.post(self._url, content=body)
        except httpx.TimeoutException:
            raise RpcUnavailable(f"{method}: no response in time from {self.label}") from None
        except httpx.HTTPError as error:
            raise RpcUnavailable(f"{method}: {type(error).__name__} at {self.label}") from None
        response = self._checked(method, http_response)
        if response is None or response.id != number:
            raise RpcUnavailable(f"{method}: {self.label} did not respond in JSON-RPC")
        try:
            return msgspec.json.decode(response.result, type=result, dec_hook=_from_base58)
        except _DECODE_ERRORS as error:
            raise RpcUnavailable(f"{method}: unexpected result: {error}") from None

    def _checked(self, method: str, http_response: httpx.Response) -> _Response | None:
        """Return the JSON-RPC response without error, or None where the body holds none.

        Raises what :meth:`call` raises for errors in the status or the body.
        """
        status = http_response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            message = f"{method}: rate limited by {self.label}"
            raise RateLimited(message, _retry_after(http_response))
        try:
            response = _response_decoder.decode(http_response.content)
        except _DECODE_ERRORS:
            response = None
        if response is not None and response.error is not None:
            error = response.error
            if error.code == httpx.codes.TOO_MANY_REQUESTS:
                raise RateLimited(f"{method}: {error.message}", _retry_after(http_response))
            raise RpcError(error.code, error.message, error.data, method)
        if status == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in http_response.headers:
            raise RateLimited(f"{method}: {self.label} is busy", _retry_after(http_response))
        if status != httpx.codes.OK:
            raise RpcUnavailable(f"{method}: HTTP {status} from {self.label}")
        return response


def label(url: str) -> str:
    """Return scheme, host and port of an endpoint, without user, path and query.

    Raises:
        ValueError: ``url`` is not the URL of an endpoint.
    """
    parts = _parsed(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def _parsed(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an RPC URL must be http:// or https:// and name a host")
    return parts


@cache
def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates, loaded once for all endpoints."""
    return httpx.create_ssl_context()


def _from_base58(kind: type, value: Any) -> Any:
    """Decode keys, hashes and signatures, which JSON holds as base58 texts."""
    if kind not in (Pubkey, Hash, Signature):
        raise NotImplementedError(kind)
    try:
        return kind.from_string(value)
    except (TypeError, ValueError, ParseHashError):
        raise ValueError(f"not a base58 {kind.__name__.lower()}") from None


def is_local(url: str) -> bool:
    """Return whether an endpoint is on this machine.

    Raises:
        ValueError: ``url`` is not the URL of an endpoint.
    """
    host = _parsed(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date."""
    value = response.headers.get("retry-after")
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
