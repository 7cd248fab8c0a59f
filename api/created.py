"""Where the resource is that a 201 speaks of: the header ``Location``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request

_STATE: Final = "location"


def locate(request: Request[Any, Any, Any], path: str) -> None:
    """State the path of what this request creates; a 201 then carries it, an error does not."""
    request.scope["state"][_STATE] = path


def location(scope: Mapping[str, Any]) -> bytes | None:
    """Return the path that the handler stated, if any."""
    found: str | None = scope["state"].get(_STATE)
    return None if found is None else found.encode()
