"""JSON-RPC 2.0 over HTTP: one call to one endpoint, and errors with names.

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

# Errors by which a node says "not now": behind, unhealthy, block not there yet, long-term
# storage down, or below the asked minContextSlot. agave rpc-client-api, custom_error.rs.
NODE_UNHEALTHY: Final = -32005
_TRANSIENT: Final = frozenset({-32004, NODE_UNHEALTHY, -32014, -32016, -32019})

# What a preflight says of a blockhash that the node does not know, or no longer.
BLOCKHASH_NOT_FOUND: Final = "BlockhashNotFound"

# httpx logs each request with its whole URL, and the query may hold an API key.
logging.getLogger("httpx").setLevel(logging.WARNING)


class RpcError(Exception):
    """The node answered with an error. ``data`` is the error's own data, if any."""

    def __init__(self, code: int, message: str, data: Any = None, method: str = "") -> None:
        super().__init__(f"{method}: {message} ({code})" if method else f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later, or elsewhere."""
        return self.code in _TRANSIENT

    @property
    def unhealthy(self) -> bool:
        """Whether the node says that it is not fit to answer anything."""
        return self.code == NODE_UNHEALTHY


class RpcUnavailable(Exception):
    """No usable answer: no connection, a timeout, an HTTP error, or not JSON-RPC."""


class RateLimited(RpcUnavailable):
    """The endpoint asks for a pause. ``retry_after`` is in seconds, None where it names none."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _Fault(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Fault | None = None


_answer: Final = msgspec.json.Decoder(_Answer)
_encode: Final = msgspec.json.Encoder().encode


class JsonRpc:
    """An endpoint. Safe to use from several threads; close it or use it as a context.

    :ivar name: host and port, which is all that may be told of it.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """``timeout`` in seconds for each call."""
        self.label = label(url)
        self.name = self.label.partition("://")[2]
        self._url = url
        self._client = httpx.Client(
            timeout=timeout,
            headers={"content-type": "application/json"},
            # A proxy from the environment must not stand between us and our own machine.
            trust_env=not is_local(url),
            # Plain HTTP needs no certificates, whose loading takes longer than many calls.
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
        """One call, sent once. ``result`` is the type of the answer's result.

        Raises RpcError, RpcUnavailable, RateLimited.
        """
        number = next(self._ids)
        body = _encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        try:
            response = self._client.post(self._url, content=body)
        except httpx.TimeoutException:
            raise RpcUnavailable(f"{method}: no answer in time from {self.label}") from None
        except httpx.HTTPError as error:
            raise RpcUnavailable(f"{method}: {type(error).__name__} at {self.label}") from None
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(f"{method}: rate limited by {self.label}", _retry_after(response))
        try:
            answer = _answer.decode(response.content)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            answer = None
        if answer is not None and answer.error is not None:
            fault = answer.error
            if fault.code == httpx.codes.TOO_MANY_REQUESTS:
                raise RateLimited(f"{method}: {fault.message}", _retry_after(response))
            raise RpcError(fault.code, fault.message, fault.data, method)
        if status != httpx.codes.OK:
            if status == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in response.headers:
                raise RateLimited(f"{method}: {self.label} is busy", _retry_after(response))
            raise RpcUnavailable(f"{method}: HTTP {status} from {self.label}")
        if answer is None or answer.id != number:
            raise RpcUnavailable(f"{method}: {self.label} did not answer in JSON-RPC")
        try:
            return msgspec.json.decode(answer.result, type=result, dec_hook=_from_base58)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise RpcUnavailable(f"{method}: unexpected result: {error}") from None


def label(url: str) -> str:
    """What may be told of an endpoint: neither user, path nor query.

    ValueError for what is no endpoint.
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
    """The trusted certificates, loaded once for all endpoints."""
    return httpx.create_ssl_context()


def _from_base58(kind: type, value: Any) -> Any:
    """Keys, hashes and signatures, which JSON holds as base58 texts."""
    if kind not in (Pubkey, Hash, Signature):
        raise NotImplementedError(kind)
    try:
        return kind.from_string(value)
    except (TypeError, ValueError, ParseHashError):
        raise ValueError(f"not a base58 {kind.__name__.lower()}") from None


def is_local(url: str) -> bool:
    """Whether an endpoint is on this machine. ValueError for what is no endpoint."""
    host = _parsed(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date."""
    value = response.headers.get("retry-after")
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
