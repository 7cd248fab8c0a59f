"""Counts the clients that receive live updates, in the metrics of this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from api.metrics import SUBSCRIBERS, SUBSCRIBERS_ENDED, SUBSCRIBERS_OPENED
from api.realtime.subscriber import Subscriber


@contextlib.contextmanager
def counted(
    transport: Literal["websocket", "event_stream"], subscriber: Subscriber
) -> Iterator[None]:
    """Count a client as open while the block runs, and then why it ended."""
    SUBSCRIBERS_OPENED.labels(transport).inc()
    SUBSCRIBERS.labels(transport).inc()
    try:
        yield
    finally:
        SUBSCRIBERS.labels(transport).dec()
        reason = "too_slow" if subscriber.has_overflowed else "closed"
        SUBSCRIBERS_ENDED.labels(transport, reason).inc()
