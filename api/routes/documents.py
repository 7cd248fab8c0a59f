"""Files that wallets have pinned: evidence for drafts and resolutions, pictures."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from sqlalchemy import Connection

from api.created import locate
from api.dependencies import PinAllowanceDep, PinsDep, WritesDep, error_responses
from api.errors import ApiError
from api.openapi.security import PERMITTED
from api.requests.bodies import MAX_BASE64, NewDocument, document_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.ipfs.media_types import MediaType, media_type
from zmart_pipelines.store.locks import lock_pinned_file
from zmart_pipelines.store.queries import drafts

# The file in base64, and the members around it.
_MAX_BODY = MAX_BASE64 + 4096
_SUBJECT = "new document"


class Document(msgspec.Struct, frozen=True):
    """A pinned file; `size` in bytes."""

    cid: str
    media_type: MediaType
    size: int


@post(
    "/api/documents",
    opt={"bucket": "pin"},
    request_max_body_size=_MAX_BODY,
    tags=["drafts"],
    responses=error_responses(400, 401, 409, 413, 415, 429),
    security=PERMITTED,
)
async def upload_document(
    request: Request[Any, Any, Any],
    writes: WritesDep,
    pins: PinsDep,
    pin_allowance: PinAllowanceDep,
    data: JSONBody[NewDocument],
) -> Document:
    """Pin a file, so that its CID can be named as evidence or picture; `GET /ipfs/{cid}` has it.

    What no draft, market or profile names is unpinned after `DOCUMENTS_KEEP_DAYS`.
    """
    content = document_bytes(data.data)
    kind = media_type(content)
    if kind is None:
        raise RuntimeError("a document has a media type")
    document = Document(cid_v0(content), kind, len(content))
    permit = await writes.authorize(data, "document", _SUBJECT)
    if not await writes.check(permit):
        await pin_allowance.require(request.scope, permit.wallet)
    is_held = await pins.is_held(document.cid)

    def store(conn: Connection) -> Document:
        lock_pinned_file(conn, document.cid)
        if is_held and not drafts.is_document(conn, document.cid):
            raise ApiError(409, f"{document.cid} is a file of this service; name it as it is")
        drafts.add_document(conn, permit.wallet, document.cid, kind, document.size)
        return document

    stored = await writes.once(permit, Document, store)
    await pins.pin(content)
    locate(request, f"/ipfs/{document.cid}")
    return stored.answer


HANDLERS = [upload_document]
