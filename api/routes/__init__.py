"""The HTTP interface, one subject per file."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from api.routes import health

HANDLERS: list[ControllerRouterHandler] = [health.process]
