"""The Litestar app: routes, dependencies, and what applies to every request."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from litestar import Litestar, Response
from litestar.di import Provide

from api import exception_handlers
from api.ballot_batcher import BallotBatcher
from api.chain import Chain
from api.database import Database
from api.delivery_intake import DeliveryIntake
from api.eligibility_cache import EligibilityCache
from api.health_watch import HealthWatch
from api.hot_reads.market_answers import MarketAnswers
from api.identity.caller import provide_caller
from api.identity.sessions import Sessions, access_tokens
from api.identity.sign_in_store import SignInStore
from api.identity.writes import provide_writes
from api.markets.past_states import PastStates
from api.markets.verifications import Verifications
from api.middleware.assembly import Middleware
from api.openapi import completion, document
from api.pin_allowance import PinAllowance
from api.pin_health import PinHealth
from api.pins import Pins
from api.process_counts import ProcessCounts
from api.realtime.connection_policy import ConnectionPolicy
from api.realtime.hub import Hub
from api.realtime.hub_health import HubHealth
from api.realtime.session_watch import SessionWatch
from api.realtime.sockets import Sockets
from api.realtime.system_state import SystemFeed
from api.requests.decoding import MAX_BODY, StrictRequest
from api.requests.validation import check_request
from api.routes import HANDLERS, webhooks
from api.sequential_dependencies import resolve_in_sequence
from api.snapshot_files import SnapshotFiles
from api.transaction_relay import TransactionRelay
from zmart_pipelines.settings import Settings


def create_app(settings: Settings) -> Litestar:
    """Return the API on these settings; it starts without Postgres and Redis and waits for them."""
    database = Database(settings)
    hub = Hub(database, settings)
    database.announce_commits(hub.announce)
    connection_policy = ConnectionPolicy(settings)
    market_answers = MarketAnswers(settings)
    session_watch = SessionWatch(database)
    sockets = Sockets(hub, database, connection_policy, session_watch, settings)
    delivery_intake = DeliveryIntake(hub, settings)
    chain = Chain(settings)
    pins = Pins(settings)
    past_states = PastStates(settings)
    eligibility = EligibilityCache(chain, database, settings)
    tokens = access_tokens(settings)
    sign_in_store = SignInStore(settings)
    middleware = Middleware(settings, tokens)
    health_watch = HealthWatch(settings, ProcessCounts(middleware.metrics))
    transaction_relay = TransactionRelay(chain, database, settings)
    for committing in (health_watch, transaction_relay):
        committing.announce_commits(hub.announce)
    system_feed = SystemFeed(hub, health_watch, database, chain, settings)
    verifications = Verifications(chain, past_states, middleware.limiter, settings)

    @contextlib.asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        try:
            async with (
                hub.running(),
                session_watch.running(),
                system_feed.running(),
                connection_policy.running(),
                delivery_intake.running(),
                health_watch.running(),
                middleware.running(),
                transaction_relay.running(),
            ):
                yield
        finally:
            health_watch.close()
            middleware.close()
            transaction_relay.close()
            database.close()
            sign_in_store.close()
            market_answers.close()
            verifications.close()
            chain.close()
            pins.close()
            past_states.close()

    def shared(value: object) -> Provide:
        return Provide(lambda: value, sync_to_thread=False, use_cache=True)

    app = Litestar(
        route_handlers=[
            document.swagger_files(),
            webhooks.router(settings.webhook_max_bytes),
            *HANDLERS,
        ],
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY,
        dependencies={
            "caller": Provide(provide_caller, sync_to_thread=False),
            "writes": Provide(provide_writes, sync_to_thread=False),
            "settings": shared(settings),
            "sessions": shared(Sessions(tokens, settings)),
            "sign_in_store": shared(sign_in_store),
            "database": shared(database),
            "known_requests": shared(middleware.known_requests),
            "market_answers": shared(market_answers),
            "hub": shared(hub),
            "hub_health": shared(HubHealth(hub, database, settings)),
            "connection_policy": shared(connection_policy),
            "sockets": shared(sockets),
            "session_watch": shared(session_watch),
            "health_watch": shared(health_watch),
            "delivery_intake": shared(delivery_intake),
            "ballot_batcher": shared(BallotBatcher(database, eligibility, settings)),
            "request_limits": shared(middleware.limits),
            "chain": shared(chain),
            "pins": shared(pins),
            "pin_health": shared(PinHealth(database, settings)),
            "snapshot_files": shared(SnapshotFiles(database, pins, settings)),
            "pin_allowance": shared(PinAllowance(middleware.limits, chain, settings)),
            "past_states": shared(past_states),
            "verifications": shared(verifications),
            "transaction_relay": shared(transaction_relay),
        },
        exception_handlers=exception_handlers.HANDLERS,
        before_request=check_request,
        openapi_config=document.config(),
        lifespan=[running],
        logging_config=None,
        response_class=Response,
    )
    resolve_in_sequence(app)
    middleware.wrap(app)
    completion.complete(app, middleware.limits.routes)
    return app
