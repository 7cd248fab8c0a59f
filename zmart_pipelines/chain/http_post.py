"""HTTP POST to one address over kept connections, by urllib3: half the processor time of httpx."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions
from urllib3.util import make_headers

# A server may send its response in small pieces, each of them in time. The whole response must
# arrive within so many times the timeout, and must not be larger (bytes, decompressed).
_WHOLE_RESPONSE_TIMEOUTS: Final = 3
MAX_RESPONSE_BYTES: Final = 512 * 1024 * 1024
_PIECE_BYTES: Final = 256 * 1024
# Connections that are kept; threads beyond them open and close one for each request.
_KEPT_CONNECTIONS: Final = 32

# urllib3 logs each request with its path and query, which may hold an API key.
logging.getLogger("urllib3").setLevel(logging.WARNING)


class HttpAnswer(NamedTuple):
    """A response whose content is complete.

    Attributes:
        headers: Case-insensitive.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class NoHttpAnswer(Exception):
    """There is no complete response; the text says why, without the address."""


class HttpPost:
    """Posts to one address, also from several threads at once; release it with ``close``."""

    def __init__(self, url: str, timeout: float, *, use_proxies: bool) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: An ``http`` or ``https`` URL; its user and password become the header of basic
                authentication.
            timeout: Seconds to connect, and between two pieces of a response; a whole response
                may take three times as long.
            use_proxies: Whether the environment's proxies (``HTTPS_PROXY``, ``NO_PROXY``) are used.
        """
        parts = urlsplit(url)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        self._url = address.geturl()
        self._timeout = timeout
        self._headers = {"content-type": "application/json", "accept-encoding": "gzip, deflate"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers |= make_headers(basic_auth=login)
        proxy = _proxy(parts.scheme, parts.hostname or "") if use_proxies else None
        self._pool = _pool(proxy, timeout)

    def send(self, body: bytes) -> HttpAnswer:
        """Post a JSON body and read the whole response; redirects are not followed.

        Raises:
            NoHttpAnswer: No connection, no response in time, or one that is incomplete or too
                large.
        """
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=self._headers,
                preload_content=False,
                redirect=False,
                retries=False,
            )
            try:
                content = self._content(response)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except exceptions.NewConnectionError:  # a subclass of TimeoutError, also where refused
            raise NoHttpAnswer("no connection") from None
        except exceptions.TimeoutError:
            raise NoHttpAnswer("no response in time") from None
        except exceptions.HTTPError as error:
            raise NoHttpAnswer(type(error).__name__) from None
        return HttpAnswer(response.status, response.headers, content)

    def _content(self, response: urllib3.BaseHTTPResponse) -> bytes:
        deadline = time.monotonic() + _WHOLE_RESPONSE_TIMEOUTS * self._timeout
        content = bytearray()
        while piece := response.read1(_PIECE_BYTES, decode_content=True):
            content += piece
            if len(content) > MAX_RESPONSE_BYTES:
                raise NoHttpAnswer("too large a response")
            if time.monotonic() > deadline:
                raise NoHttpAnswer("no response in time")
        return bytes(content)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pool.clear()


def _proxy(scheme: str, host: str) -> str | None:
    """Return the environment's proxy for a host, as ``urllib.request`` would choose it."""
    if proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")


def _pool(proxy: str | None, timeout: float) -> urllib3.PoolManager:
    limits = urllib3.Timeout(connect=timeout, read=timeout)
    if proxy is None:
        return urllib3.PoolManager(timeout=limits, maxsize=_KEPT_CONNECTIONS)
    login = urlsplit(proxy).netloc.rpartition("@")[0]
    return urllib3.ProxyManager(
        proxy,
        timeout=limits,
        maxsize=_KEPT_CONNECTIONS,
        proxy_headers=make_headers(proxy_basic_auth=unquote(login)) if login else None,
    )
