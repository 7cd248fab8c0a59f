"""Which bucket a request takes from besides its client's general one, by its route.

A route states it: ``opt={"bucket": "search"}``, with ``"bucket_parameter": "q"`` where that is so
only for queries with this parameter. ``general`` is none besides the general one, ``exempt`` not
even that. What is not stated is ``write`` where the method may change something, so that no new
route is without its limit, else ``general``.

The layer in front of the routes looks it up for every request, also for those that match no route.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.utils.path import normalize_path

from api.rate_limit.buckets import BucketName

GENERAL: Final = "general"
EXEMPT: Final = "exempt"

_BUCKET: Final = "bucket"
_PARAMETER: Final = "bucket_parameter"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TEMPLATE_PART: Final = re.compile(r"\{[^}]*\}")


class RouteBucket(NamedTuple):
    """What a route states.

    Attributes:
        bucket: The smaller bucket; None: the general one alone.
        is_exempt: Whether requests are not limited: they take no token.
        parameter: The query parameter without which the smaller bucket is not used.
    """

    bucket: BucketName | None = None
    is_exempt: bool = False
    parameter: bytes | None = None


class RouteLimit(NamedTuple):
    """A route and the smaller bucket that it takes from."""

    method: str
    path: str
    bucket: BucketName
    parameter: str | None


_READ: Final = RouteBucket()
_WRITE: Final = RouteBucket(BucketName.WRITE)


class RouteBuckets:
    """The buckets of an app's routes."""

    def __init__(self, routes: Iterable[HTTPRoute]) -> None:
        """Read what the handlers state.

        Raises:
            ValueError: A handler states a bucket that does not exist.
        """
        self.listed: list[RouteLimit] = []
        self._paths: dict[tuple[str, str], RouteBucket] = {}
        templates: defaultdict[str, list[tuple[str, RouteBucket]]] = defaultdict(list)
        for method, path, handler in _handlers(routes):
            stated = _stated(handler, method)
            self._list(method, path, stated)
            if "{" not in path:
                self._paths[method, path] = stated
            elif stated != _default(method):
                templates[method].append((path, stated))
        # One pattern per method: the number of its group is the place in the list.
        self._patterns = {
            method: re.compile("|".join(f"({_pattern(path)})" for path, _ in listed))
            for method, listed in templates.items()
        }
        self._templates = {
            method: [stated for _, stated in listed] for method, listed in templates.items()
        }

    def _list(self, method: str, path: str, stated: RouteBucket) -> None:
        if stated.bucket is not None:
            parameter = stated.parameter.decode() if stated.parameter is not None else None
            self.listed.append(RouteLimit(method, path, stated.bucket, parameter))

    def of(self, method: str, path: str, query: bytes) -> RouteBucket:
        """Return what the route of a request states.

        Args:
            method: GET for HEAD.
            path: Decoded; the router takes slashes that are repeated or at the end as none.
            query: The query string.
        """
        if path.endswith("/") or "//" in path:
            path = normalize_path(path)
        found = self._paths.get((method, path)) or self._of_template(method, path)
        if found.parameter is not None and not _has(found.parameter, query):
            return _READ
        return found

    def _of_template(self, method: str, path: str) -> RouteBucket:
        pattern = self._patterns.get(method)
        match = pattern.fullmatch(path) if pattern is not None else None
        if match is None or match.lastindex is None:
            return _default(method)
        return self._templates[method][match.lastindex - 1]


def _handlers(routes: Iterable[HTTPRoute]) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in routes:
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS":
                yield str(method), route.path_format, handler


def _default(method: str) -> RouteBucket:
    return _READ if method in _READING else _WRITE


def _stated(handler: HTTPRouteHandler, method: str) -> RouteBucket:
    name = handler.opt.get(_BUCKET)
    if name is None:
        return _default(method)
    if name == GENERAL:
        return RouteBucket()
    if name == EXEMPT:
        return RouteBucket(is_exempt=True)
    parameter = handler.opt.get(_PARAMETER)
    return RouteBucket(
        BucketName(name), parameter=parameter.encode() if parameter is not None else None
    )


def _pattern(template: str) -> str:
    """Return the pattern of a template's paths, whose parameters are one segment each."""
    texts = _TEMPLATE_PART.split(template)
    return "[^/]+".join(re.escape(text) for text in texts)


def _has(parameter: bytes, query: bytes) -> bool:
    if not query:
        return False
    return any(unquote_to_bytes(part.partition(b"=")[0]) == parameter for part in query.split(b"&"))
