"""The page that ``type`` of every error response points to."""

from __future__ import annotations

from html import escape

from litestar import MediaType, get

from api.error_codes import TYPES_PATH, ErrorCode

_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Error codes</title>"
    "<h1>Error codes</h1><p>Values of <code>code</code> in error responses.<dl>{}</dl></html>"
)


@get(TYPES_PATH, media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=False)
def list_error_codes() -> str:
    """List the codes with their meanings."""
    return _PAGE.format(
        "".join(
            f"<dt id={code}><code>{code}</code><dd>{escape(code.meaning)}" for code in ErrorCode
        )
    )


HANDLERS = [list_error_codes]
