"""One endpoint over real HTTP: retries and error texts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from tests.chain.endpoint import Endpoint, Script, fault, reply, result
from zmart_pipelines.chain.endpoint_pool import FIRST_PAUSE, LONGEST_PAUSE, EndpointPool
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable

SECRET = "sentinel-api-key"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def rpc(endpoint: Endpoint, pauses: list[float]) -> Iterator[EndpointPool]:
    url = f"{endpoint.url}/{SECRET}?api-key={SECRET}"
    with EndpointPool(url, 0.3, sleep=pauses.append) as client:
        yield client


TRANSIENT: list[Script] = [
    fault(-32005, "Node is behind by 42 slots"),
    fault(-32016, "Minimum context slot has not been reached"),
    fault(-32004, "Block not available for slot 1"),
    reply(status=500, body=b"oops"),
    reply(status=502, body=b"<html>Bad gateway</html>"),
    reply(status=503),
    reply(drop=True),
    reply(body=b"not json"),
    reply(body=b"[" * 100_000),
    reply(body=b"{}"),
    reply(body=b'{"jsonrpc":"2.0","id":999999,"result":1}'),
    reply(status=429),
    fault(429, "Too many requests"),
    reply(body=b'{"id":1,"result":7}', delay=0.6),
]


@pytest.mark.parametrize("script", TRANSIENT)
def test_reads_are_retried(
    endpoint: Endpoint, rpc: EndpointPool, pauses: list[float], script: Script
) -> None:
    endpoint.answer(script, result(7))
    assert rpc.read("getSlot", [], int) == 7
    assert len(endpoint.requests) == 2
    assert len(pauses) == 1
    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE


@pytest.mark.parametrize("script", TRANSIENT)
def test_calls_are_sent_once(
    endpoint: Endpoint, rpc: EndpointPool, pauses: list[float], script: Script
) -> None:
    endpoint.answer(script, result(7))
    with pytest.raises((RpcError, RpcUnavailable)):
        rpc.call("sendTransaction", [], int)
    assert len(endpoint.requests) == 1
    assert pauses == []


@pytest.mark.parametrize("script", TRANSIENT)
def test_last_error_is_reported_without_secrets(
    endpoint: Endpoint, rpc: EndpointPool, pauses: list[float], script: Script
) -> None:
    endpoint.answer(script)
    with pytest.raises((RpcError, RpcUnavailable)) as error:
        rpc.read("getSlot", [], int)
    if isinstance(error.value, RateLimited):
        assert sum(pauses) <= LONGEST_PAUSE < sum(pauses) + FIRST_PAUSE * 2 ** len(pauses)
    else:
        assert len(pauses) == 3
    assert len(endpoint.requests) == len(pauses) + 1
    assert str(error.value).startswith("getSlot: ")
    chain: list[BaseException | None] = [error.value, error.value.__cause__]
    assert SECRET not in repr([(str(e), repr(e)) for e in chain])
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_pauses_grow(endpoint: Endpoint, rpc: EndpointPool, pauses: list[float]) -> None:
    endpoint.answer(fault(-32005, "behind"))
    with pytest.raises(RpcError):
        rpc.read("getSlot", [], int)
    for number, pause in enumerate(pauses):
        assert FIRST_PAUSE * 2**number / 2 <= pause <= FIRST_PAUSE * 2**number


@pytest.mark.parametrize(
    "script",
    [
        fault(-32602, "Invalid params"),
        fault(-32601, "Method not found"),
        fault(-32015, "Transaction version (1) is not supported"),
    ],
)
def test_errors_of_the_request_are_not_retried(
    endpoint: Endpoint, rpc: EndpointPool, pauses: list[float], script: Script
) -> None:
    endpoint.answer(script)
    with pytest.raises(RpcError, match=r"getSlot: .* \(-32"):
        rpc.read("getSlot", [], int)
    assert len(endpoint.requests) == 1


def test_an_error_keeps_its_data(endpoint: Endpoint, rpc: EndpointPool) -> None:
    endpoint.answer(fault(-32002, "simulation failed", {"err": "AlreadyProcessed"}, status=400))
    with pytest.raises(RpcError) as error:
        rpc.call("sendTransaction", [], str)
    assert (error.value.code, error.value.data) == (-32002, {"err": "AlreadyProcessed"})
    assert not error.value.transient


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (lambda: "3", 3, 3),
        (lambda: formatdate(time.time() + 5, usegmt=True), 3, 5),
        (lambda: "soon", 0, FIRST_PAUSE),
        (lambda: formatdate(0, usegmt=True), 0, FIRST_PAUSE),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_respected(
    endpoint: Endpoint,
    rpc: EndpointPool,
    pauses: list[float],
    status: int,
    value: Callable[[], str],
    low: float,
    high: float,
) -> None:
    endpoint.answer(reply(status=status, headers={"Retry-After": value()}), result(7))
    assert rpc.read("getSlot", [], int) == 7
    assert low <= pauses[0] <= high


def test_long_retry_after_is_raised_to_the_caller(
    endpoint: Endpoint, rpc: EndpointPool, pauses: list[float]
) -> None:
    endpoint.answer(reply(status=429, headers={"Retry-After": str(int(LONGEST_PAUSE) + 1)}))
    with pytest.raises(RateLimited) as error:
        rpc.read("getSlot", [], int)
    assert error.value.retry_after == LONGEST_PAUSE + 1
    assert pauses == []


def test_results_of_another_type_are_refused(endpoint: Endpoint, rpc: EndpointPool) -> None:
    endpoint.answer(result("text"))
    with pytest.raises(RpcUnavailable, match="getSlot: unexpected result: Expected `int`"):
        rpc.read("getSlot", [], int)


def test_refused_connection() -> None:
    endpoint = Endpoint()
    endpoint.close()
    with (
        EndpointPool(f"{endpoint.url}/?k={SECRET}", 0.3, attempts=1) as rpc,
        pytest.raises(RpcUnavailable) as error,
    ):
        rpc.read("getSlot", [], int)
    assert SECRET not in str(error.value)
    assert endpoint.url in str(error.value)


@pytest.mark.parametrize("url", ["", "localhost:8899", "ftp://host/", "http://", "ws://host"])
def test_invalid_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="an RPC URL must be"):
        EndpointPool(url, 1)


def test_the_url_is_used_but_never_logged(
    endpoint: Endpoint, rpc: EndpointPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.answer(result(1))
    rpc.read("getSlot", [], int)
    assert endpoint.paths == [f"/{SECRET}?api-key={SECRET}"]
    assert SECRET not in caplog.text
    assert SECRET not in repr(rpc)


def test_no_proxy_is_used_for_this_machine(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    endpoint.answer(result(1))
    with EndpointPool(endpoint.url, 1, attempts=1) as rpc:
        assert rpc.read("getSlot", [], int) == 1


def test_the_proxy_of_the_environment_is_used_for_other_machines(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", endpoint.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    endpoint.answer(result(1))
    with EndpointPool("http://node.example/path", 1, attempts=1) as rpc:
        assert rpc.read("getSlot", [], int) == 1
    assert endpoint.paths == ["http://node.example/path"]
