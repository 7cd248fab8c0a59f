"""Files pinned by this system, by CID."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter

from api import caching
from api.dependencies import PinsDep, error_responses
from api.requests import identifiers
from zmart_pipelines.ipfs.media_types import media_type


@get(
    "/ipfs/{cid:str}",
    cache_control=caching.IMMUTABLE,
    tags=["submissions"],
    responses=error_responses(400, 404),
    media_type="application/json",
)
async def get_pinned_file(
    pins: PinsDep,
    cid: Annotated[str, PathParameter(description="A CIDv0: Qm and 44 more characters.")],
) -> Response[bytes]:
    """Get a file that was pinned here: a ballot bundle or a part of one, a question, a document.

    The path serves as a gateway for `zmart verify-tally --gateway`.
    """
    data = await pins.read(identifiers.cid(cid))
    kind = media_type(data) or "application/octet-stream"
    return Response(data, media_type=kind, headers={"ETag": f'"{cid}"'})


HANDLERS = [get_pinned_file]
