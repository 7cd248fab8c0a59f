"""The receiver of Helius webhooks.

Steps: authenticate the sender (401), check the body's size (413) and shape (400), commit it as
received, ingest it, answer (``api.delivery_intake``). The rest of a large or slow delivery is
ingested after the answer; a delivery that fails after the commit stays pending and is ingested
by the pipelines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Router, post
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.openapi.spec.operation import Operation

from api.dependencies import DeliveryIntakeDep, SettingsDep, error_responses
from api.errors import ApiError, FieldError
from api.identity import webhook_auth
from api.requests.decoding import require_uncompressed
from zmart_pipelines.chain.transactions import PayloadError


class Acknowledgement(msgspec.Struct, frozen=True, rename="camel"):
    """The acknowledgement that a delivery is stored.

    `newEvents` are those ingested before this answer; with `pending` the rest follows.
    `unreadable` entries are stored, and read by RPC where they name a signature.
    """

    received: bool
    delivery: int
    transactions: int
    new_events: int
    pending: bool
    unreadable: int


@dataclass
class WebhookOperation(Operation):
    """An operation whose body is a raw Helius payload, in Solana's own format."""

    def __post_init__(self) -> None:
        transaction = Schema(
            type=OpenAPIType.OBJECT,
            description="One transaction as getTransaction returns it (encoding json), or an "
            "enhanced transaction, of which only the signature is used.",
        )
        self.request_body = RequestBody(
            required=True,
            content={
                "application/json": OpenAPIMediaType(
                    schema=Schema(
                        one_of=[Schema(type=OpenAPIType.ARRAY, items=transaction), transaction]
                    )
                )
            },
        )


@post(
    ["/api/webhooks/helius", "/helius/webhook", "/webhooks/events"],
    operation_class=WebhookOperation,
    status_code=200,
    opt={"bucket": "webhook"},
    tags=["webhooks"],
    responses=error_responses(400, 401, 413, 415),
    security=[{"helius": []}, {"signed": []}],
)
async def receive_helius_webhook(
    request: Request[Any, Any, Any], delivery_intake: DeliveryIntakeDep, settings: SettingsDep
) -> Acknowledgement:
    """Receive a raw Helius payload: one transaction or an array of transactions.

    Enhanced transactions have no logs: their signatures are queued and read by RPC. An entry that
    cannot be read is stored and counted; the others are ingested.
    """
    headers = list(request.scope["headers"])
    authenticated = webhook_auth.has_valid_secret(headers, settings)
    if not authenticated and not webhook_auth.has_signature(headers, settings):
        raise webhook_auth.unauthorized_sender()
    require_uncompressed(request)
    body = await request.body()
    if not authenticated and not webhook_auth.has_valid_signature(headers, body, settings):
        raise webhook_auth.unauthorized_sender()
    try:
        accepted = await delivery_intake.accept(body)
    except PayloadError as error:
        # Whatever is wrong with one entry is recorded with the delivery: this is no JSON.
        reason = f"is neither a JSON array nor an object: {error}"
        raise ApiError(400, f"the body {reason}", FieldError("body", reason)) from error
    return Acknowledgement(
        received=True,
        delivery=accepted.delivery,
        transactions=accepted.transactions,
        new_events=accepted.new_events,
        pending=accepted.pending,
        unreadable=accepted.unreadable,
    )


def router(max_bytes: int) -> Router:
    """Return the webhook's paths, with their own limit on the body."""
    return Router("/", route_handlers=[receive_helius_webhook], request_max_body_size=max_bytes)
