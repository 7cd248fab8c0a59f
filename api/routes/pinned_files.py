"""Files pinned by this system, by CID."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter

from api.dependencies import SettingsDep, error_responses
from api.errors import invalid, not_found, unavailable
from zmart_pipelines.ipfs.cid import is_cid_v0
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound


@get(
    "/ipfs/{cid:str}",
    tags=["submissions"],
    responses=error_responses(400, 404),
    media_type="application/json",
    sync_to_thread=True,
)
def get_pinned_file(
    settings: SettingsDep,
    cid: Annotated[str, PathParameter(description="A CIDv0: Qm and 44 more characters.")],
) -> Response[bytes]:
    """Get a file that was pinned here: a ballot bundle or a part of one, evidence, a question.

    The path serves as a gateway for `zmart verify-tally --gateway`.
    """
    if not is_cid_v0(cid):
        raise invalid("cid", "must be a CIDv0 (Qm and 44 more base58 characters)")
    try:
        # Only local files: this server does not fetch arbitrary CIDs from other gateways.
        data = LocalPinStore(settings.zmart_state / "ipfs").get(cid)
    except PinNotFound as error:
        raise not_found("File") from error
    except PinError as error:
        raise unavailable("The file") from error
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": f'"{cid}"'}
    return Response(data, media_type="application/json", headers=headers)


HANDLERS = [get_pinned_file]
