"""A call of the API as data: what a client sends, and the type of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

Answer_co = TypeVar("Answer_co", covariant=True)
Value: TypeAlias = str | int | bool | Sequence[str] | Sequence[int] | None
Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Call(Generic[Answer_co]):
    """One call; nothing is sent until a client sends it.

    Attributes:
        method: HTTP method.
        path: Path with its names filled in.
        answer: Type of the answer's body; ``bytes`` for a file.
        query: Parameters; None leaves one out.
        body: Body of a write.
    """

    method: Method
    path: str
    answer: type[Answer_co]
    query: Mapping[str, Value] = field(default_factory=dict)
    body: msgspec.Struct | None = None

    @property
    def writes(self) -> bool:
        """Whether the call may change something."""
        return self.method != "GET"

    def parameters(self) -> list[tuple[str, str | int | float | bool | None]]:
        """Return the query as pairs of text; lists repeat their name."""
        return [
            (name, _text(item))
            for name, value in self.query.items()
            if value is not None
            for item in _items(value)
        ]

    def next_page(self, link: str | None) -> Call[Answer_co] | None:
        """Return the call of the page that follows, by the answer's header ``Link``."""
        cursor = _next_cursor(link)
        if cursor is None:
            return None
        kept = {name: value for name, value in self.query.items() if name != "offset"}
        return replace(self, query={**kept, "cursor": cursor})


def path(template: str, *names: str | int) -> str:
    """Return the path with each ``{}`` replaced by a name, percent-encoded."""
    return template.format(*(quote(str(name), safe="") for name in names))


def _items(value: Value) -> Sequence[object]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    return (value,)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _next_cursor(link: str | None) -> str | None:
    if link is None or not link.endswith('rel="next"'):
        return None
    address = link[link.index("<") + 1 : link.index(">")]
    return parse_qs(urlsplit(address).query)["cursor"][0]
