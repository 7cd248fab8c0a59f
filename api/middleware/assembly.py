"""The parts of the outermost layer, made from the settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import cast

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

from api.connections.client_limit import ClientLimit
from api.hot_reads.known_requests import KnownRequests
from api.identity import sign_in
from api.identity.callers import Callers
from api.identity.ended_sessions import EndedSessions
from api.identity.service_keys import ServiceKeys
from api.identity.verified_tokens import VerifiedTokens
from api.load_shedding.shedding import LoadShedding
from api.metrics import RequestMetrics
from api.middleware.action_headers import action_headers
from api.middleware.admission import Admission
from api.middleware.allowed_methods import allowed_methods
from api.middleware.cors import Cors
from api.middleware.edge import App, Edge
from api.middleware.fixed_headers import HeadersByPath
from api.middleware.freshness import Freshness
from api.rate_limit.buckets import quotas_of
from api.rate_limit.limiter import Limiter
from api.rate_limit.redis_buckets import RedisBuckets
from api.rate_limit.request_limits import RequestLimits
from api.rate_limit.route_buckets import RouteBuckets
from zmart_pipelines.proofs.access_tokens import AccessTokens
from zmart_pipelines.settings import Settings


class Middleware:
    """What every request of one process passes; release it with ``close``."""

    def __init__(self, settings: Settings, tokens: AccessTokens | None) -> None:
        """Make them; ``tokens`` verifies access tokens, if wallets can sign in."""
        self._settings = settings
        self.shedding = LoadShedding(settings.api_shed_seconds)
        self.freshness = Freshness(settings)
        self.limiter = Limiter(RedisBuckets(settings.redis_url.get_secret_value()))
        self.limits = RequestLimits(self.limiter, quotas_of(settings))
        self.keys = ServiceKeys(settings)
        self.ended_sessions = EndedSessions(settings)
        self.callers = Callers(
            self.keys,
            None if tokens is None else VerifiedTokens(tokens),
            self.ended_sessions,
            operators=settings.operator_wallets,
            origins=sign_in.page_origins(settings),
        )
        self.metrics = RequestMetrics()
        self.known_requests = KnownRequests()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what works in the background until the block ends."""
        async with self.limiter.running(), self.freshness.running(), self.shedding.running():
            yield

    def wrap(self, app: Litestar) -> None:
        """Put the layer around the app.

        It is no middleware of Litestar's, which paths without a route would pass by.
        """
        inner = cast(App, app.asgi_handler)  # the same, more loosely typed
        if self._settings.trusted_proxies:
            inner = ClientLimit(inner, self._settings.api_connections_per_ip)
        routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
        self.limits.routes = RouteBuckets(routes)
        edge = Edge(
            inner,
            cors=Cors(self._settings.origins),
            action_headers=action_headers(self._settings.solana_cluster),
            fixed_headers=HeadersByPath(self._settings.browser_rpc_url),
            admission=Admission(
                self.limits, self.limits.routes, self.callers, self.shedding, self._settings
            ),
            freshness=self.freshness,
            metrics=self.metrics,
            known=self.known_requests,
            allowed=allowed_methods(routes),
        )
        app.asgi_handler = cast(ASGIApp, edge)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.freshness.close()
        self.keys.close()
        self.ended_sessions.close()
