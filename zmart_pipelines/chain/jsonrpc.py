"""JSON-RPC 2.0 over HTTP: one call to one endpoint, with classified errors.

``zmart_pipelines.chain.endpoint_pool`` retries and chooses among endpoints. No error text
holds the URL's user, path or query, where providers put API keys.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.chain.faults import Fault, code_fault, status_fault
from zmart_pipelines.chain.http_post import HttpAnswer, HttpPost, NoHttpAnswer

T = TypeVar("T")

NODE_UNHEALTHY: Final = -32005

# Characters of an error text of the endpoint that are kept.
_MAX_MESSAGE: Final = 500
# Shorter parts of a URL are words, not keys.
_MIN_SECRET: Final = 8


class RpcError(Exception):
    """The node responded with an error.

    Attributes:
        code: of JSON-RPC.
        message: without the parts of the URL that may be keys.
        data: the error's own data, if any.
        fault: whose fault it is.
    """

    def __init__(self, code: int, message: str, data: Any = None, method: str = "") -> None:
        super().__init__(f"{method}: {message} ({code})" if method else f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data
        self.fault = code_fault(code, method, data)

    @property
    def transient(self) -> bool:
        """Whether the node's state is the cause, so that the same call may succeed later."""
        return self.fault.stops_reader

    @property
    def unhealthy(self) -> bool:
        """Whether the node reports itself unhealthy."""
        return self.code == NODE_UNHEALTHY


class RpcUnavailable(Exception):
    """No usable response: no connection, a timeout, an HTTP error, or not JSON-RPC.

    Attributes:
        retry_after: seconds that the endpoint asks to wait; None where not given.
        fault: whose fault it is.
    """

    fault = Fault.PROVIDER

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(RpcUnavailable):
    """The endpoint asks for a pause."""

    fault = Fault.RATE_LIMIT


class NodeBehind(RpcUnavailable):
    """The node responded with older state than was asked for."""

    fault = Fault.BEHIND


class _ErrorObject(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class _Response(msgspec.Struct):
    id: int | str | None = None
    # A response without a result is not one whose result is null.
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
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
        """Create the client.

        Args:
            url: of the endpoint.
            timeout: seconds to connect, and between two pieces of a response; a whole response
                may take three times as long.
        """
        self.label = label(url)
        self.name = self.label.partition("://")[2]
        self._secrets = _secrets(url)
        # A proxy from the environment must not be used for this machine.
        self._http = HttpPost(url, timeout, use_proxies=not is_local(url))
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
        self._http.close()

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
            answer = self._http.send(body)
        except NoHttpAnswer as error:
            raise RpcUnavailable(f"{method}: {error} at {self.label}") from None
        response = self._checked(method, number, answer)
        try:
            return msgspec.json.decode(response, type=result, dec_hook=_from_base58)
        except _DECODE_ERRORS as error:
            raise RpcUnavailable(f"{method}: unexpected result: {error}") from None

    def _checked(self, method: str, number: int, answer: HttpAnswer) -> msgspec.Raw:
        """Return the result; raise what :meth:`call` raises for errors in status or body."""
        status, response = answer.status, _decoded(answer.content)
        error = None if response is None else response.error
        text = "" if error is None else f": {self._without_secrets(error.message)} ({error.code})"
        pause = _retry_after(answer.headers)
        fault = status_fault(status)
        if fault is None and error is not None:
            fault = code_fault(error.code, method, error.data)
        if fault is Fault.RATE_LIMIT or (fault is Fault.PROVIDER and _is_busy(status, pause)):
            raise RateLimited(f"{method}: rate limited by {self.label}{text}", pause)
        if fault is Fault.PROVIDER:
            raise RpcUnavailable(f"{method}: HTTP {status} from {self.label}{text}", pause)
        if response is None or not _belongs(response, number):
            detail = "" if status == HTTPStatus.OK else f" (HTTP {status})"
            raise RpcUnavailable(f"{method}: {self.label} did not respond in JSON-RPC{detail}")
        if error is not None:
            message = self._without_secrets(error.message)
            raise RpcError(error.code, message, error.data, method)
        if status != HTTPStatus.OK or response.result is msgspec.UNSET:
            raise RpcUnavailable(f"{method}: HTTP {status} without a result from {self.label}")
        return response.result

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_MAX_MESSAGE]


def _decoded(content: bytes) -> _Response | None:
    """Return the JSON-RPC response, or None where the content is none."""
    try:
        return _response_decoder.decode(content)
    except _DECODE_ERRORS:
        return None


def _belongs(response: _Response, number: int) -> bool:
    """Return whether a response is that of the request; errors may lack the id."""
    if response.error is not None and response.id is None:
        return True
    return response.id == number


def _is_busy(status: int, retry_after: float | None) -> bool:
    return status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None


def _secrets(url: str) -> tuple[str, ...]:
    """Return the parts of a URL that may be keys, the longest first."""
    parts = urlsplit(url)
    texts = [parts.username or "", parts.password or "", *parts.path.split("/")]
    texts += [text for pair in parts.query.split("&") for text in pair.split("=")[1:]]
    found = {form for text in texts for form in (text, unquote(text)) if len(form) >= _MIN_SECRET}
    return tuple(sorted(found, key=len, reverse=True))


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


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
