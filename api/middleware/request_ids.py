"""The id of a request and its W3C trace context.

A client may name its request in ``X-Request-Id``; otherwise an id is made. Every response carries
it, and so does every log line that is written for the request in the event loop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from zmart_pipelines import structured_logs

HEADER: Final = b"x-request-id"
TRACE_HEADER: Final = b"traceparent"
# The keys of ``scope["state"]`` under which handlers find both.
STATE_ID: Final = "request_id"
STATE_TRACE: Final = "traceparent"

_ACCEPTED: Final = re.compile(rb"[A-Za-z0-9._~:+/=@-]{1,128}")
# Version 00 has exactly four fields; a later one may have more, of which the first four count.
_TRACE: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})"
    rb"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_MAX_TRACE_BYTES: Final = 256


def choose_id(offered: bytes | None) -> bytes:
    """Return the id that the client offers if it is acceptable, else a new one (32 hex digits)."""
    if offered is not None and _ACCEPTED.fullmatch(offered):
        return offered
    return os.urandom(16).hex().encode()


def child_trace(parent: bytes | None) -> bytes | None:
    """Return the ``traceparent`` of our own span within the client's trace.

    None where the client sends none, or one that the W3C recommendation rejects.
    """
    if parent is None or len(parent) > _MAX_TRACE_BYTES:
        return None
    found = _TRACE.fullmatch(parent)
    if found is None or found["version"] == b"ff":
        return None
    if found["version"] == b"00" and found["rest"] is not None:
        return None
    if not found["trace"].strip(b"0") or not found["parent"].strip(b"0"):
        return None
    span = os.urandom(8).hex().encode()
    return b"00-%s-%s-%s" % (found["trace"], span, found["flags"])


def request_id(scope: Mapping[str, Any]) -> str | None:
    """Return the id of the request with this ASGI scope; None outside the middleware."""
    found: str | None = scope.get("state", {}).get(STATE_ID)
    return found


def bind(scope: Mapping[str, Any], chosen: bytes, trace: bytes | None) -> None:
    """Make both known to handlers (``scope["state"]``) and to this request's log lines."""
    text = chosen.decode("ascii")
    state = scope["state"]
    state[STATE_ID] = text
    if trace is None:
        structured_logs.bind(request_id=text)
        return
    state[STATE_TRACE] = trace.decode("ascii")
    structured_logs.bind(request_id=text, traceparent=state[STATE_TRACE])
