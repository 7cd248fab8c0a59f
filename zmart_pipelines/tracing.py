"""Traces: spans where ``OTLP_ENDPOINT`` is set, nothing where it is not.

Where it is not set, :mod:`zmart_pipelines.trace_export` is not imported, nor is OpenTelemetry; each
of these functions then costs a comparison with None.

A trace is continued by other processes, also days later and after a kill. Its ids are therefore
derived from the stored delivery or intent (:func:`derive`). Only a frame of the live stream stores
the context in which it was written, because it names no delivery.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from zmart_pipelines.settings import Settings
    from zmart_pipelines.trace_export import Spans

# What an attribute may be: ids, counts and names.
Attribute = str | int | bool

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NOTHING: Final = contextlib.nullcontext()


class SpanKey(NamedTuple):
    """A span by the two ids of the W3C trace context."""

    trace_id: int
    span_id: int

    @property
    def traceparent(self) -> str:
        """The span in the form of the header ``traceparent``."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


_spans: Spans | None = None


def configure_tracing(settings: Settings, *, part: str) -> None:
    """Export this process's spans where the settings name an endpoint. Call it after any fork.

    Args:
        settings: The endpoint and the share of traces.
        part: Name of the process.
    """
    if settings.otlp_endpoint is not None:
        from zmart_pipelines.trace_export import Spans

        use(Spans(settings, part=part))


def use(spans: Spans | None) -> None:
    """Set the exporter of this process; None turns tracing off."""
    global _spans
    _spans = spans


def is_on() -> bool:
    """Return whether spans are exported."""
    return _spans is not None


def shut_down() -> None:
    """Export what is left, for a moment at most, and stop."""
    if _spans is not None:
        _spans.shut_down()
        use(None)


def span(
    name: str,
    *,
    key: SpanKey | None = None,
    parent: SpanKey | None = None,
    links: Sequence[SpanKey] = (),
    **attributes: Attribute,
) -> AbstractContextManager[None]:
    """Measure the block as a span, the parent of those within it.

    Args:
        name: What is done, one of few names.
        key: The span's ids; by default random ones.
        parent: By default the span around it in this thread or task.
        links: Spans of other traces that led to it.
        attributes: Ids, counts and names. Secrets are masked.
    """
    if _spans is None:
        return _NOTHING
    return _spans.span(name, key=key, parent=parent, links=links, attributes=attributes)


def record(
    name: str,
    key: SpanKey,
    start_ns: int,
    *,
    end_ns: int | None = None,
    parent: SpanKey | None = None,
    links: Sequence[SpanKey] = (),
    is_error: bool = False,
    **attributes: Attribute,
) -> None:
    """Export a span of something that has ended.

    Args:
        name: As for ``span``.
        key: The span's ids.
        start_ns: When it began, in nanoseconds since 1970.
        end_ns: When it ended; None: now.
        parent: None: the trace begins with it.
        links: As for ``span``.
        is_error: Whether it failed.
        attributes: As for ``span``.
    """
    if _spans is not None:
        _spans.record(
            name,
            key,
            start_ns,
            end_ns=end_ns,
            parent=parent,
            links=links,
            is_error=is_error,
            attributes=attributes,
        )


def current() -> SpanKey | None:
    """Return the span around the caller; None where there is none."""
    return None if _spans is None else _spans.current()


def current_traceparent() -> str | None:
    """Return the span around the caller in the form of the header ``traceparent``."""
    found = current()
    return None if found is None else found.traceparent


def parse_traceparent(text: str) -> SpanKey | None:
    """Read a ``traceparent``; None where it is none of version 00."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    key = SpanKey(int(found[1], 16), int(found[2], 16))
    return key if all(key) else None


def parse_headers(text: str) -> dict[str, str]:
    """Read ``name=value,name=value`` of ``OTLP_HEADERS``, values percent-encoded."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def derive(kind: str, *parts: bytes | int | str) -> SpanKey:
    """Return the first span of the trace of something stored: the same in every process.

    Args:
        kind: What it is.
        parts: What never changes of it and no other has, also on another installation.
    """
    digest = _digest(kind, *parts)
    return SpanKey(_id(digest[:16]), _id(digest[16:24]))


def child_of(parent: SpanKey, *parts: bytes | int | str) -> SpanKey:
    """Return another span of the same trace; ``parts`` distinguish it from its siblings."""
    return SpanKey(parent.trace_id, _id(_digest(str(parent.span_id), *parts)[:8]))


def random_child_of(parent: SpanKey) -> SpanKey:
    """Return another span of the same trace, one that no other process refers to."""
    return SpanKey(parent.trace_id, random.getrandbits(64) or 1)


def _digest(*parts: bytes | int | str) -> bytes:
    digest = sha256()
    for part in parts:
        encoded = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.digest()


def _id(digest: bytes) -> int:
    # Zero is no id.
    return int.from_bytes(digest, "big") or 1
