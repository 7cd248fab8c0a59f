"""The interface's own description: OpenAPI 3.1 at /docs/openapi.json, its page at /docs."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPIResponse, SecurityScheme, Tag
from litestar.router import Router
from litestar.static_files import create_static_files_router

VERSION = "1.0.0"
_ASSETS = "/docs/assets"

_TAGS = {
    "markets": "What is traded: state, prices, history.",
    "drafts": "A market's question before it is on chain, and the transaction that creates it.",
    "trades": "Trades, and the transactions that make them.",
    "votes": "Ballots of proposals and disputes.",
    "submissions": "What is sent to the chain, and the published files behind it.",
    "wallets": "What one wallet holds and has done.",
    "discussions": "Comments under a market.",
    "webhooks": "Where Helius delivers transactions.",
    "health": "Freshness of every part.",
}


def _folder() -> Path:
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise RuntimeError("swagger-ui-py is not installed; run make install")
    return Path(spec.origin).parent / "static"


def assets() -> Router:
    """Swagger UI's files, served from here so that the page needs no internet."""
    return create_static_files_router(
        path=_ASSETS, directories=[_folder()], include_in_schema=False, name="swagger-ui"
    )


def polish(app: Litestar) -> None:
    """Let each operation's first sentence be its title in the description."""
    for item in (app.openapi_schema.paths or {}).values():
        for operation in (item.get, item.post, item.delete):
            if operation is None:
                continue
            if operation.description:
                operation.description = operation.description.replace("``", "`")
                first = re.split(r"(?<=[.;:])\s", " ".join(operation.description.split()))[0]
                operation.summary = first.rstrip(".;:").replace("`", "")
            for status, response in (operation.responses or {}).items():
                if status < "300" and isinstance(response, OpenAPIResponse):
                    response.description = "The answer."


def config() -> OpenAPIConfig:
    """The description's settings."""
    return OpenAPIConfig(
        title="ZMART API",
        version=VERSION,
        description=(
            "Everything off-chain behind the ZMART prediction market. Amounts are integers in "
            "lamports or 9-decimal units; each row repeats those that may pass 2^53 as strings "
            "under `exact`. Times are ISO 8601 in UTC. A market is named by its id (64 hex "
            "digits) or its account's base58 address."
        ),
        path="/docs",
        use_handler_docstrings=True,
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        components=Components(
            security_schemes={
                "wallet": SecurityScheme(
                    type="apiKey",
                    name="Authorization",
                    security_scheme_in="header",
                    description="Signature message=<urlencoded>&signature=<base58>&wallet=<base58>"
                    ", or the same three as fields of the body.",
                ),
                "helius": SecurityScheme(
                    type="apiKey",
                    name="Authorization",
                    security_scheme_in="header",
                    description="The value that Helius echoes.",
                ),
                "signed": SecurityScheme(
                    type="apiKey",
                    name="x-helius-signature",
                    security_scheme_in="header",
                    description="Hex HMAC-SHA256 of the body, where a key for it is configured.",
                ),
            }
        ),
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
