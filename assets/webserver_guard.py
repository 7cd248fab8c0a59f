"""Refuses requests to the Dagster webserver that a foreign web page could have caused.

Dagster executes mutations that come by GET, as a form, from any origin and under any host name,
and has no sign-in. A link on any page could thus launch a run in the browser of an operator who
reaches the webserver. This middleware admits:

* requests whose ``Host`` is a known one (a foreign name that resolves to this machine is not),
* ``POST`` with a JSON body, and from a browser only if the page's origin is our own,
* ``GET`` and ``HEAD`` for pages and files, but not for GraphQL operations,
* WebSockets, from a browser only if the page's origin is our own.

It does not know who sends a request; docs/operations.md says how to add a sign-in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(:\d+)?", re.IGNORECASE)


class Refusal(NamedTuple):
    """Why a request is not passed on."""

    status: HTTPStatus
    reason: str


class WebserverGuard:
    """ASGI middleware around Dagster's application."""

    def __init__(self, app: ASGIApp, own_hosts: Iterable[str], origins: Iterable[str]) -> None:
        """Guard ``app``.

        Args:
            app: The application to pass requests on to.
            own_hosts: Host names, without port, under which the webserver is reached directly; a
                page from there (``http://`` and the request's ``Host``) is our own.
            origins: Origins under which a proxy offers the webserver, such as
                ``https://dagster.example.com``; pages from there are our own, too.
        """
        self._app = app
        self._own_hosts = LOOPBACK | {host.lower() for host in own_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._hosts = self._own_hosts | {_host_name(urlsplit(o).netloc) for o in self._origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason why not."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, _without_foreign_frames(send))
        elif scope["type"] == "http":
            await PlainTextResponse(f"{refusal.reason}\n", refusal.status)(scope, receive, send)
        else:
            # Before the handshake is accepted, the server answers this with status 403.
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._hosts:
            return Refusal(
                HTTPStatus.FORBIDDEN,
                "unknown Host: name the address of this page in the setting DAGSTER_ORIGINS",
            )
        if any(not self._is_own(origin, hosts[0]) for origin in origins):
            return Refusal(
                HTTPStatus.FORBIDDEN,
                "foreign Origin: name the origin of this page in the setting DAGSTER_ORIGINS",
            )
        return None if scope["type"] == "websocket" else _method_refusal(scope, headers)

    def _is_own(self, origin: str, host: str) -> bool:
        if origin.lower() in self._origins:
            return True
        return _host_name(host) in self._own_hosts and origin.lower() == f"http://{host.lower()}"


def _method_refusal(scope: Scope, headers: Headers) -> Refusal | None:
    """Return why this method is refused on this path or with this type of body."""
    if scope["method"] in ("GET", "HEAD"):
        if _is_graphql(scope["path"]) and not _is_playground(scope, headers):
            return Refusal(
                HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL operations are accepted by POST alone"
            )
        return None
    if scope["method"] != "POST":
        return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET, HEAD and POST are accepted")
    types = [value.partition(";")[0].strip().lower() for value in headers.getlist("content-type")]
    if types != ["application/json"]:
        return Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "POST is accepted with Content-Type application/json"
        )
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return Refusal(HTTPStatus.FORBIDDEN, "POST is not accepted from another site")
    return None


def _is_graphql(path: str) -> bool:
    return path.rstrip("/").lower().endswith("/graphql")


def _is_playground(scope: Scope, headers: Headers) -> bool:
    """Return whether Dagster answers with its query editor, which executes nothing by itself."""
    return "text/html" in headers.get("accept", "") and not scope["query_string"]


def _host_name(host: str) -> str:
    """Return the name in a ``Host`` header in lower case; empty if it has none."""
    found = _HOST.fullmatch(host)
    return found.group(1).lower() if found else ""


def _without_foreign_frames(send: Send) -> Send:
    """Add the header by which browsers show the page in no frame of another site."""

    async def add_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
        await send(message)

    return add_header
