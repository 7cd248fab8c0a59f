"""Traces: ids that follow from what is stored, secrets masked, nothing imported where it is off."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.fixtures.spans import Collector, Memory
from zmart_pipelines import tracing
from zmart_pipelines.runtime.doctor.services import check_traces
from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import MASK, bound
from zmart_pipelines.tracing import SpanKey, child_of, derive, parse_traceparent

PROJECT = Path(__file__).parents[1]
SECRET = "planted-secret-value"
PARTS = st.lists(st.one_of(st.integers(), st.binary()), max_size=4)


@given(PARTS, PARTS)
def test_other_things_have_other_traces(
    first: list[int | bytes], second: list[int | bytes]
) -> None:
    # A number stands for its digits.
    same = [str(one).encode() if isinstance(one, int) else one for one in first] == [
        str(one).encode() if isinstance(one, int) else one for one in second
    ]
    assert (derive("intent", *first) == derive("intent", *second)) is same
    assert derive("intent", *first).trace_id != derive("delivery", *first).trace_id


def test_a_child_is_of_the_same_trace_and_another_span() -> None:
    parent = derive("intent", 1)
    child = child_of(parent, "attempt", b"signature")
    assert child.trace_id == parent.trace_id
    assert child == child_of(parent, "attempt", b"signature")
    assert len({parent.span_id, child.span_id, child_of(parent, "attempt", b"x").span_id}) == 3


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
def test_a_stored_context_is_read_back(trace: int, span: int) -> None:
    key = SpanKey(trace, span)
    assert parse_traceparent(key.traceparent) == key


@pytest.mark.parametrize(
    "text", ["", "00-0-0-01", f"00-{'0' * 32}-{'1' * 16}-01", f"01-{'1' * 32}-{'1' * 16}-01"]
)
def test_what_is_no_context_is_none(text: str) -> None:
    assert parse_traceparent(text) is None


def test_spans_are_nested_and_carry_the_ids_of_the_logs(memory: Memory) -> None:
    key = derive("run", "r")
    with bound(run_id="r", irrelevant="x"), tracing.span("outer", key=key, job="monitor"):
        assert tracing.current() == key
        with tracing.span("inner", number=3):
            pass
    inner, outer = memory.seen
    assert (outer.trace, outer.span, outer.parent) == (*key, 0)
    assert (inner.trace, inner.parent) == (outer.trace, outer.span)
    assert outer.attributes == {"zmart.run_id": "r", "zmart.job": "monitor"}
    assert inner.attributes == {"zmart.run_id": "r", "zmart.number": 3}


def test_secrets_are_masked_and_texts_of_errors_are_left_out() -> None:
    memory = Memory(Settings(helius_webhook_secret=SecretStr(SECRET)))
    tracing.use(memory.spans)
    url = f"postgresql://zmart:{SECRET}@db/zmart"
    try:
        with pytest.raises(ValueError, match="planted"), tracing.span("x", a=SECRET, b=url):
            raise ValueError(url)
    finally:
        tracing.use(None)
    (seen,) = memory.seen
    assert seen.is_error
    assert seen.attributes["zmart.a"] == MASK
    assert SECRET not in repr(seen)
    (exported,) = memory.spans_json
    assert SECRET not in exported
    assert "ValueError" in exported


def test_processes_agree_on_which_traces_are_kept() -> None:
    kept: list[set[int]] = []
    keys = [derive("intent", number) for number in range(200)]
    for part in ("api", "run"):
        memory = Memory(Settings(trace_ratio=0.3), part)
        tracing.use(memory.spans)
        for key in keys:
            with tracing.span("child", parent=key):
                assert (tracing.current() is not None) == (
                    tracing.current_traceparent() is not None
                )
        tracing.use(None)
        kept.append({seen.trace for seen in memory.seen})
    assert kept[0] == kept[1]
    assert 30 < len(kept[0]) < 90


def test_spans_are_sent_by_otlp_with_the_headers_of_the_settings() -> None:
    with Collector().running() as collector:
        settings = Settings(
            otlp_endpoint=collector.endpoint,
            otlp_headers=SecretStr("Api-Key=a%20key, x=1"),
            solana_cluster="localnet",
        )
        tracing.configure_tracing(settings, part="exporting")
        with tracing.span("sent"):
            pass
        tracing.shut_down()
    assert [(one.service, one.name) for one in collector.seen] == [("exporting", "sent")]
    headers = {name.lower(): value for name, value in collector.headers[0].items()}
    assert (headers["api-key"], headers["x"]) == ("a key", "1")
    assert not tracing.is_on()


def test_doctor_tries_the_collector() -> None:
    assert check_traces(Settings()).status == "ok"
    with Collector().running() as collector:
        found = check_traces(
            Settings(otlp_endpoint=collector.endpoint, otlp_headers=SecretStr("api-key=k"))
        )
        assert (found.status, found.detail) == ("ok", "the collector accepts spans")
        assert {name.lower(): value for name, value in collector.headers[0].items()}[
            "api-key"
        ] == "k"
        assert collector.seen == []
    away = check_traces(Settings(otlp_endpoint=collector.endpoint))
    assert away.status == "warn"
    assert "OTLP_ENDPOINT" in away.remedy


def test_a_collector_that_is_away_holds_nothing_up() -> None:
    tracing.configure_tracing(Settings(otlp_endpoint="http://127.0.0.1:9/v1/traces"), part="x")
    with tracing.span("lost"):
        pass
    ended = threading.Thread(target=tracing.shut_down)
    ended.start()
    ended.join(15)
    assert not ended.is_alive()


@pytest.mark.process
def test_nothing_of_opentelemetry_is_imported_where_it_is_off() -> None:
    code = (
        "import sys\n"
        "import api.server, assets.definitions, assets.run_worker_preload, zmart_pipelines.cli\n"
        "import zmart_pipelines.submissions.driver\n"
        "from zmart_pipelines import tracing\n"
        "from zmart_pipelines.settings import Settings\n"
        "tracing.configure_tracing(Settings(), part='x')\n"
        "with tracing.span('nothing'):\n"
        "    tracing.record('nothing', tracing.derive('x'), 0)\n"
        "assert tracing.current_traceparent() is None\n"
        "tracing.shut_down()\n"
        "found = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "sys.exit(f'imported {found[:3]}' if found else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "ZMART_ENV_FILE": "", "OTLP_ENDPOINT": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
