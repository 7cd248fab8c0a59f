"""Where Helius delivers transactions.

Order of things: the sender is known (401), the body has a size (413) and a shape (400), it
is committed as received, then ingested, then answered. What is left of a large delivery is
ingested after the answer; whatever fails after the commit is taken up again by the
pipelines, for the delivery stays pending.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.background_tasks import BackgroundTask
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.openapi.spec.operation import Operation
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.bodies import require_plain
from api.database import Database
from api.dependencies import TheDatabase, TheHub, TheSettings, failures, operation
from api.errors import ApiError, FieldError
from api.realtime.hub import Hub
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_helius
from zmart_pipelines.ledger import deliveries
from zmart_pipelines.settings import Settings

log = logging.getLogger("api.webhooks")


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
            description="One transaction as getTransaction gives it, encoding json.",
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


def _accepted(settings: Settings) -> list[bytes]:
    """The values of Authorization that are accepted now."""
    secrets: tuple[SecretStr | None, ...] = (
        settings.helius_webhook_secret,
        settings.helius_webhook_secret_previous,
    )
    return [value.encode() for item in secrets if item and (value := item.get_secret_value())]


def _check_sender(request: Request[Any, Any, Any], settings: Settings) -> None:
    """ApiError 401 unless Authorization is there once and is one of the accepted values."""
    given = [value for name, value in request.scope["headers"] if name == b"authorization"]
    one = given[0] if len(given) == 1 else b""
    # Every comparison is made, so that time tells nothing.
    matches = [hmac.compare_digest(one, accepted) for accepted in _accepted(settings)]
    if not any(matches):
        raise ApiError(
            401,
            "Authorization is not the value that this webhook was registered with",
            FieldError("Authorization", "is missing or wrong"),
        )


def _store(engine: Engine, body: bytes, settings: Settings) -> tuple[int, list[RawTransaction]]:
    """Read the body and commit it as received; the delivery's id and its transactions."""
    transactions = from_helius(body, settings.program)
    with engine.begin() as conn:
        delivery = deliveries.receive(conn, body, transaction_count=len(transactions))
    return delivery, transactions


def _process(
    engine: Engine,
    delivery: int,
    transactions: list[RawTransaction],
    settings: Settings,
    limit: int | None,
) -> deliveries.Processed | None:
    """Ingest a stored delivery; None where it could not be done now and stays pending."""
    try:
        return deliveries.process(
            engine, delivery, program=settings.program, transactions=transactions, limit=limit
        )
    except DBAPIError as error:
        log.warning("delivery %d stays pending: %s", delivery, type(error.orig).__name__)
    except Exception:
        # It is committed: the sender must not send it again, the pipelines will try.
        log.exception("delivery %d could not be ingested", delivery)
    return None


async def _rest(
    database: Database,
    hub: Hub,
    settings: Settings,
    delivery: int,
    transactions: list[RawTransaction],
) -> None:
    done = await database.ingest(
        lambda engine: _process(engine, delivery, transactions, settings, None)
    )
    if done is not None:
        hub.announce(done.result.positions)


@post(
    ["/api/webhooks/helius", "/helius/webhook", "/webhooks/events"],
    operation_id=operation("receiveWebhook"),
    operation_class=WebhookOperation,
    status_code=200,
    tags=["webhooks"],
    responses=failures(400, 401, 413, 415),
    security=[{"helius": []}],
)
async def helius(
    request: Request[Any, Any, Any], database: TheDatabase, settings: TheSettings, hub: TheHub
) -> Response[Received]:
    """A raw Helius payload: an array of transactions, or one."""
    _check_sender(request, settings)
    require_plain(request)
    body = await request.body()
    try:
        delivery, transactions = await database.ingest(
            lambda engine: _store(engine, body, settings)
        )
    except PayloadError as error:
        field, _, message = str(error).partition(": ")
        raise ApiError(400, str(error), FieldError(field, message)) from error
    limit = settings.webhook_inline_transactions
    done = await database.ingest(
        lambda engine: _process(engine, delivery, transactions, settings, limit)
    )
    if done is not None:
        hub.announce(done.result.positions)
    unfinished = done is not None and not done.complete
    return Response(
        Received(
            received=True,
            delivery=delivery,
            transactions=len(transactions),
            new_events=0 if done is None else done.result.new_events,
            pending=done is None or unfinished,
        ),
        background=BackgroundTask(_rest, database, hub, settings, delivery, transactions)
        if unfinished
        else None,
    )


def router(max_bytes: int) -> Router:
    """The webhook's paths, with their own limit of the body."""
    return Router("/", route_handlers=[helius], request_max_body_size=max_bytes)
