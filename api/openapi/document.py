"""The OpenAPI 3.1 document at /docs/openapi.json and its page at /docs."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    Tag,
)
from litestar.router import Router
from litestar.static_files import create_static_files_router
from litestar.types.internal_types import PathParameterDefinition

from api.openapi.security import SCHEMES

VERSION = "1.0.0"
_ASSETS = "/docs/assets"
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")

_TAGS = {
    "markets": "Markets: state, prices, history.",
    "drafts": "Questions of markets that are not on chain yet.",
    "transactions": "Transactions for wallets to sign, and the relay of signed ones.",
    "actions": "Solana Actions: markets as links that wallets show with buttons.",
    "trades": "Trades, and unsigned transactions that make them.",
    "votes": "Votes on proposals and disputes: the text to sign, ballots, counts.",
    "submissions": "What is submitted to the chain, kill switches, and pinned files.",
    "live updates": "What changes, as it changes; sockets are described beside this document.",
    "ledger": "The program's events and transactions, and the proof that none is missing.",
    "wallets": "Positions and history of a wallet.",
    "discussions": "Comments under a market.",
    "authentication": "Signing in with a wallet, sessions and tokens.",
    "webhooks": "Receiver of Helius webhooks.",
    "limits": "Limits of requests as data.",
    "operators": "Orders of operators, and the log of what they did.",
    "health": "Health of the process and freshness of every service.",
}


def _swagger_folder() -> Path:
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise RuntimeError("swagger-ui-py is not installed; run make install")
    return Path(spec.origin).parent / "static"


def swagger_files() -> Router:
    """Return the route of Swagger UI's files, so that the page works without internet."""
    return create_static_files_router(
        path=_ASSETS, directories=[_swagger_folder()], include_in_schema=False, name="swagger-ui"
    )


def _operation_id(
    handler: HTTPRouteHandler, _method: object, path: list[str | PathParameterDefinition]
) -> str:
    """Return the handler's name; its further paths are numbered, the longest path first.

    Litestar keeps a handler's paths in a set, whose order is another one in each process.
    """
    paths = sorted(
        (_PARAMETER.sub(r"\1", one).strip("/") for one in handler.paths),
        key=lambda one: (-len(one), one),
    )
    number = paths.index("/".join(str(getattr(part, "name", part)) for part in path))
    return handler.handler_name if number == 0 else f"{handler.handler_name}_alias{number}"


def config() -> OpenAPIConfig:
    """Return the document's title, texts and pages."""
    return OpenAPIConfig(
        title="ZMART API",
        version=VERSION,
        description=(
            "The off-chain API of the ZMART prediction market.\n\n"
            "Amounts are integers in lamports; shares and prices are integers with 9 decimals. "
            "Every integer that may exceed 2^53 is repeated as a string under `exact`. Times are "
            "ISO 8601 in UTC with milliseconds (`2026-11-20T08:00:00.000Z`). `vote` and `outcome` "
            "are booleans, `choice` is the word. A market is named by its id (64 hex digits) or "
            "its account's base58 address.\n\n"
            "Live updates by WebSocket are described at [/docs/realtime](/docs/realtime); rows in"
            " them have the same fields as the responses."
        ),
        path="/docs",
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        components=Components(security_schemes=dict(SCHEMES)),
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{_ASSETS}/swagger-ui-bundle.js",
                css_url=f"{_ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{_ASSETS}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" href="{_ASSETS}/favicon-32x32.png">',
                path="/",
            )
        ],
    )
