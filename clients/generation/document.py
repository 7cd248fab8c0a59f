"""The OpenAPI document that the clients are generated from: the one that ``/docs`` serves."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from api.app import create_app
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, Role

# The app connects on use, and describing it uses nothing.
_UNUSED = "postgresql://localhost/unused"


def openapi_document() -> dict[str, Any]:
    """Return the document of the API as the code describes it; no server is needed."""
    logins = {role.setting: SecretStr(_UNUSED) for role in (Role.OWNER, *LOGINS)}
    settings = Settings().model_copy(update=logins)
    return create_app(settings).openapi_schema.to_schema()
