"""Where Helius delivers transactions.

Order of things: the sender is known (401), the body has a size (413) and a shape (400), it
is committed as received, then ingested, then answered (``api.delivery_intake``). What is left of a
large delivery, or would take too long, is ingested after the answer; whatever fails after
the commit is taken up again by the pipelines, for the delivery stays pending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Router, post
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.openapi.spec.operation import Operation

from api import webhook_auth
from api.dependencies import DeliveryIntakeDep, SettingsDep, failures, operation
from api.errors import ApiError, FieldError
from api.request_decoding import require_plain
from zmart_pipelines.chain.transactions import PayloadError


class Received(msgspec.Struct, frozen=True, rename="camel"):
    """The delivery is stored. ``new_events`` counts those ingested before this answer;
    ``pending`` says that the rest follows.
    """

    received: bool
    delivery: int
    transactions: int
    new_events: int
    pending: bool


@dataclass
class WebhookOperation(Operation):
    """The body is a raw Helius payload, whose members are Solana's own."""

    def __post_init__(self) -> None:
        transaction = Schema(
            type=OpenAPIType.OBJECT,
            description="One transaction as getTransaction gives it, encoding json; or an enhanced "
            "one, of which the signature is read.",
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
    operation_id=operation("receiveWebhook"),
    operation_class=WebhookOperation,
    status_code=200,
    tags=["webhooks"],
    responses=failures(400, 401, 413, 415),
    security=[{"helius": []}, {"signed": []}],
)
async def helius(
    request: Request[Any, Any, Any], intake: DeliveryIntakeDep, settings: SettingsDep
) -> Received:
    """A raw Helius payload: an array of transactions, or one. Of an enhanced one, which has
    no logs, the signatures are read by RPC.
    """
    headers = list(request.scope["headers"])
    known = webhook_auth.by_value(headers, settings)
    if not known and not webhook_auth.may_sign(headers, settings):
        raise webhook_auth.refusal()
    require_plain(request)
    body = await request.body()
    if not known and not webhook_auth.by_signature(headers, body, settings):
        raise webhook_auth.refusal()
    try:
        taken = await intake.take(body)
    except PayloadError as error:
        field, _, message = str(error).partition(": ")
        raise ApiError(400, str(error), FieldError(field, message)) from error
    return Received(
        received=True,
        delivery=taken.delivery,
        transactions=taken.transactions,
        new_events=taken.new_events,
        pending=taken.pending,
    )


def router(max_bytes: int) -> Router:
    """The webhook's paths, with their own limit of the body."""
    return Router("/", route_handlers=[helius], request_max_body_size=max_bytes)
