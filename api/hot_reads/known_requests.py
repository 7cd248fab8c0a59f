"""Requests that were answered before, answered again in front of the routes.

Routing a request, parsing its parameters and making its response cost more than the answer itself
where that is encoded already. A handler whose answer depends on path and query alone leaves here
how it reads that answer (``remember``). The same path and query are then answered by the same
reading: nothing is parsed or checked by other rules, and what a handler refuses is never found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from litestar import Request

from api.hot_reads.encoded_bodies import EncodedBody
from api.requests import pages

Read: TypeAlias = Callable[[], Awaitable[EncodedBody]]
Header: TypeAlias = tuple[bytes, bytes]
HeaderList: TypeAlias = list[Header]
_Key: TypeAlias = tuple[str, bytes]

MAX_REQUESTS: Final = 10_000
# Bytes of a query; longer ones are parsed each time.
MAX_QUERY: Final = 500

_CONTENT_TYPE: Final = (b"content-type", b"application/json")


class KnownRequest:
    """A request that a handler has answered.

    Attributes:
        route: The template of its path, which names it in metrics.
        read: Reads its answer.
    """

    __slots__ = ("_fixed", "_link", "read", "route")

    def __init__(
        self, request: Request[Any, Any, Any], read: Read, headers: Sequence[Header]
    ) -> None:
        self.route: str = request.scope["path_template"]
        self.read = read
        self._fixed = (_CONTENT_TYPE, *headers)
        self._link = pages.link_before_cursor(request)

    def headers(self, body: EncodedBody) -> HeaderList:
        """Return the headers of the handler's response with this body, and its entity tag."""
        made = [*self._fixed, (b"etag", body.tag)]
        if body.next_cursor is not None:
            made.append((b"link", pages.link_to(self._link, body.next_cursor).encode("latin-1")))
        return made


class KnownRequests:
    """The requests that were answered last; used from one event loop."""

    def __init__(self, capacity: int = MAX_REQUESTS) -> None:
        """Keep so many requests; the longest unused are forgotten first."""
        self._capacity = capacity
        self._known: OrderedDict[_Key, KnownRequest] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, scope: Mapping[str, Any]) -> KnownRequest | None:
        """Return what is known of the request with this ASGI scope."""
        key = (scope["path"], scope["query_string"])
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def remember(
        self, request: Request[Any, Any, Any], read: Read, headers: Sequence[Header] = ()
    ) -> None:
        """Keep how the request was answered.

        Args:
            request: A GET, whose answer depends on its path and query and on nothing else that a
                request says.
            read: Returns the answer as it is when it is called.
            headers: What every answer carries, besides what all JSON answers do.
        """
        query: bytes = request.scope["query_string"]
        if len(query) > MAX_QUERY:
            return
        self._known[request.scope["path"], query] = KnownRequest(request, read, headers)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
