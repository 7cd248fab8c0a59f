"""Spans exported by OTLP over HTTP. Imported only where ``OTLP_ENDPOINT`` is set."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import Masking, bound
from zmart_pipelines.tracing import Attribute, SpanKey, parse_headers

# Ids that are bound for log lines and are attributes of spans, too.
_JOINING: Final = ("request_id", "run_id", "intent_id", "signature")
# For a collector that does not answer; spans are lost then, nothing waits for it.
_EXPORT_SECONDS: Final = 5.0
_LAST_EXPORT_MILLISECONDS: Final = 3000

_chosen: ContextVar[SpanKey | None] = ContextVar("zmart_span_key", default=None)


class _ChosenIds(IdGenerator):
    """The ids of the span that is being started where they were chosen, else random ones."""

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        return random.getrandbits(128) or 1 if chosen is None else chosen.trace_id

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return random.getrandbits(64) or 1 if chosen is None else chosen.span_id


class Spans:
    """The spans of one process.

    Whether a trace is kept depends on its id alone, so that all processes agree.
    """

    def __init__(
        self, settings: Settings, *, part: str, processor: SpanProcessor | None = None
    ) -> None:
        """Start to export.

        Args:
            settings: Endpoint, headers, share of the traces, and the secrets to mask.
            part: Name of the process.
            processor: What to do with ended spans; None: send them to the endpoint.
        """
        self._masking = Masking(settings)
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(settings.trace_ratio),
            resource=Resource(
                {
                    "service.namespace": "zmart",
                    "service.name": part,
                    "deployment.environment.name": settings.solana_cluster,
                }
            ),
            id_generator=_ChosenIds(),
        )
        self._provider.add_span_processor(processor or _exporting(settings))
        self._tracer = self._provider.get_tracer("zmart_pipelines")

    @contextmanager
    def span(
        self,
        name: str,
        *,
        key: SpanKey | None,
        parent: SpanKey | None,
        links: Sequence[SpanKey],
        attributes: Mapping[str, Attribute],
    ) -> Iterator[None]:
        """Do what ``tracing.span`` says."""
        around = None if parent is None else _context_of(parent)
        started = self._start(name, key, around, links, attributes)
        ids = started.get_span_context()
        try:
            with (
                trace.use_span(started, record_exception=False, set_status_on_exception=False),
                bound(trace_id=f"{ids.trace_id:032x}"),
            ):
                yield
        except BaseException as error:
            # Not its text, which may hold what was sent or the address of a database.
            started.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            started.end()

    def record(
        self,
        name: str,
        key: SpanKey,
        start_ns: int,
        *,
        end_ns: int | None,
        parent: SpanKey | None,
        links: Sequence[SpanKey],
        is_error: bool,
        attributes: Mapping[str, Attribute],
    ) -> None:
        """Do what ``tracing.record`` says."""
        around = context.Context() if parent is None else _context_of(parent)
        started = self._start(name, key, around, links, attributes, start_ns)
        if is_error:
            started.set_status(trace.StatusCode.ERROR)
        started.end(None if end_ns is None else max(start_ns, end_ns))

    def current(self) -> SpanKey | None:
        """Return the current span; None where there is none, or its trace is not kept."""
        ids = trace.get_current_span().get_span_context()
        kept = ids.is_valid and ids.trace_flags.sampled
        return SpanKey(ids.trace_id, ids.span_id) if kept else None

    def shut_down(self) -> None:
        """Export what is left and stop."""
        self._provider.force_flush(_LAST_EXPORT_MILLISECONDS)
        self._provider.shutdown()

    def _start(
        self,
        name: str,
        key: SpanKey | None,
        around: context.Context | None,
        links: Sequence[SpanKey],
        attributes: Mapping[str, Attribute],
        start_ns: int | None = None,
    ) -> trace.Span:
        if key is not None and around is None:
            # A trace of its own, whatever is around it.
            around = context.Context()
        token = _chosen.set(key)
        try:
            return self._tracer.start_span(
                name,
                around,
                attributes=self._attributes(attributes),
                links=[trace.Link(_span_context(link)) for link in links],
                start_time=start_ns,
            )
        finally:
            _chosen.reset(token)

    def _attributes(self, given: Mapping[str, Attribute]) -> dict[str, Attribute]:
        joined = structlog.contextvars.get_contextvars()
        ids = {f"zmart.{name}": joined[name] for name in _JOINING if name in joined}
        own = {f"zmart.{name}": value for name, value in given.items()}
        return {name: self._masked(value) for name, value in {**ids, **own}.items()}

    def _masked(self, value: Attribute) -> Attribute:
        return value if isinstance(value, (bool, int)) else self._masking.text(str(value))


def _exporting(settings: Settings) -> SpanProcessor:
    headers = settings.otlp_headers
    exporter = OTLPSpanExporter(
        endpoint=settings.otlp_endpoint,
        headers=None if headers is None else parse_headers(headers.get_secret_value()),
        timeout=_EXPORT_SECONDS,
    )
    return BatchSpanProcessor(exporter)


def _span_context(key: SpanKey) -> trace.SpanContext:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    return trace.SpanContext(key.trace_id, key.span_id, is_remote=True, trace_flags=flags)


def _context_of(key: SpanKey) -> context.Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(_span_context(key)), context.Context())
