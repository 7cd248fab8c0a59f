"""The app: routes, shared parts, and what surrounds every request."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from litestar import Litestar, Response, get
from litestar.di import Provide
from litestar.response import Redirect

from api import errors, openapi, security
from api.ballot_batcher import BallotBox
from api.chain import Chain
from api.database import Database
from api.delivery_intake import Intake
from api.eligibility_cache import Standings
from api.realtime.hub import Hub
from api.realtime.socket import Door
from api.request_decoding import MAX_BODY, StrictRequest
from api.routes import HANDLERS, webhooks
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.settings import Settings


@get("/", include_in_schema=False)
async def index() -> Redirect:
    """The description's page."""
    return Redirect("/docs")


def create_app(settings: Settings) -> Litestar:
    """The API on these settings. It starts without Postgres and Redis and waits for them."""
    database = Database(settings)
    hub = Hub(database, settings)
    intake = Intake(hub, settings)
    door = Door(settings)
    chain = Chain(settings)

    @contextlib.asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        try:
            async with hub.running(), intake.running():
                yield
        finally:
            database.close()
            chain.close()

    def shared(value: object) -> Provide:
        return Provide(lambda: value, sync_to_thread=False, use_cache=True)

    app = Litestar(
        route_handlers=[
            index,
            openapi.assets(),
            webhooks.router(settings.webhook_max_bytes),
            *HANDLERS,
        ],
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY,
        dependencies={
            "settings": shared(settings),
            "database": shared(database),
            "hub": shared(hub),
            "intake": shared(intake),
            "ballot_box": shared(
                BallotBox(database, hub, Standings(chain, database, settings), settings)
            ),
            "door": shared(door),
            "chain": shared(chain),
            "pins": shared(configured_pin_store(settings)),
        },
        exception_handlers=errors.HANDLERS,
        before_send=[security.add_headers],
        cors_config=security.cors(settings),
        openapi_config=openapi.config(),
        lifespan=[running],
        logging_config=None,
        response_class=Response,
    )
    openapi.polish(app)
    return app
