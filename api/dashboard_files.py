"""The files of the dashboard, as `web/` builds them; read once for each process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).parent / "static" / "app"
_ASSETS: Final = "assets"
_MEDIA_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


class DashboardFile(msgspec.Struct, frozen=True):
    """A file with its media type."""

    content: bytes
    media_type: str


@lru_cache(maxsize=1)
def assets() -> Mapping[str, DashboardFile]:
    """Return the files that are named by a hash of their content, by name.

    Raises:
        KeyError: A file has an ending without a media type here.
    """
    found = {
        path.name: DashboardFile(path.read_bytes(), _MEDIA_TYPES[path.suffix])
        for path in sorted((FOLDER / _ASSETS).iterdir())
    }
    return MappingProxyType(found)


@lru_cache(maxsize=1)
def page() -> bytes:
    """Return the page that loads the rest; every address of the dashboard has the same one."""
    return (FOLDER / "index.html").read_bytes()
