"""The description of the live stream: an AsyncAPI document, and its page."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
from litestar import MediaType, get

from api.asyncapi.document import asyncapi_document
from api.asyncapi.page import page
from api.dependencies import SettingsDep

DOCUMENT_PATH: Final = "/docs/asyncapi.json"
PAGE_PATH: Final = "/docs/realtime"


@get(DOCUMENT_PATH, media_type=MediaType.JSON, include_in_schema=False, sync_to_thread=True)
def describe_live_updates(settings: SettingsDep) -> bytes:
    """Return the AsyncAPI document."""
    return _document(settings.public_origin, settings.ws_port)


@get(PAGE_PATH, media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=True)
def show_live_updates(settings: SettingsDep) -> bytes:
    """Return the document as a page."""
    return _page(settings.public_origin, settings.ws_port)


# One process has one address; tests have several.
@lru_cache(maxsize=1)
def _document(origin: str, socket_port: int) -> bytes:
    return msgspec.json.encode(asyncapi_document(origin, socket_port))


@lru_cache(maxsize=1)
def _page(origin: str, socket_port: int) -> bytes:
    return page(asyncapi_document(origin, socket_port)).encode()


HANDLERS = [describe_live_updates, show_live_updates]
