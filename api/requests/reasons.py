"""Why an operator acts, for the audit log."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from api.errors import invalid
from api.requests import user_text
from zmart_pipelines.store.audit import MAX_REASON

ReasonText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_REASON)]


def reason(text: str) -> str:
    """Return the reason in its stored form; raise ApiError 400 where it is blank."""
    cleaned = user_text.clean_text("reason", text)
    if not cleaned:
        raise invalid("reason", "must not be blank")
    return cleaned
