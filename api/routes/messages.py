"""The text that a wallet signs for one write, whichever."""

from __future__ import annotations

from litestar import post
from litestar.params import JSONBody

from api.dependencies import SettingsDep, error_responses
from api.errors import invalid
from api.identity import text_to_sign
from api.identity.text_to_sign import TextToSign
from api.requests.bodies import TextRequest
from zmart_pipelines.ipfs.canonical_json import NotCanonical
from zmart_pipelines.proofs.request_text import Operation, body_digest


@post(
    "/api/messages",
    opt={"bucket": "general"},
    status_code=200,
    tags=["discussions"],
    responses=error_responses(400, 413, 415),
)
async def get_write_text(settings: SettingsDep, data: JSONBody[TextRequest]) -> TextToSign:
    """Get the exact text to sign for a write: send its action, its subject and its body."""
    try:
        digest = body_digest(data.body)
    except NotCanonical as error:
        raise invalid("body", "must not contain integers beyond 2^53 - 1") from error
    return text_to_sign.compose(Operation(data.action, data.subject, digest), settings)


HANDLERS = [get_write_text]
