"""Whose fault an error is: the table is complete, and what follows from it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import solders.transaction_status as solders_errors
from solders.keypair import Keypair

from tests.chain.endpoint import Endpoint, Reply, Script, fault, reply, result
from zmart_pipelines.breakers.endpoint_breakers import MemoryGuard
from zmart_pipelines.breakers.machine import Policy, State
from zmart_pipelines.chain.faults import (
    TRANSACTION_ERRORS,
    Fault,
    code_fault,
    status_fault,
    transaction_fault,
)
from zmart_pipelines.chain.jsonrpc import NodeBehind, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.program.ids import CLOCK_SYSVAR

KEY = "sentinel-api-key"
POLICY = Policy(failures=2, pauses=(timedelta(minutes=5),))


def known_variants() -> set[str]:
    """Return the variants of TransactionError, as solders knows them."""
    fieldless = solders_errors.TransactionErrorFieldless
    prefix = "TransactionError"
    others = {
        name.removeprefix(prefix)
        for name in dir(solders_errors)
        if name.startswith(prefix) and not name.endswith(("Fieldless", "Type"))
    }
    return others | {
        name for name in dir(fieldless) if isinstance(getattr(fieldless, name), fieldless)
    }


def test_every_transaction_error_has_a_meaning() -> None:
    assert len(known_variants()) >= 39
    assert set(TRANSACTION_ERRORS) == known_variants()
    verdicts = {name for name, of in TRANSACTION_ERRORS.items() if of is Fault.PROGRAM}
    assert verdicts == {"InstructionError"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"InstructionError": [0, {"Custom": 6007}]}, Fault.PROGRAM),
        ("ClusterMaintenance", Fault.BEHIND),
        ({"ProgramExecutionTemporarilyRestricted": {"account_index": 1}}, Fault.BEHIND),
        ({"InsufficientFundsForRent": {"account_index": 0}}, Fault.REQUEST),
        ("NewInTheNextRelease", Fault.BEHIND),
        ({}, Fault.BEHIND),
        (7, Fault.BEHIND),
        (None, Fault.BEHIND),
    ],
)
def test_transaction_errors_in_any_shape(error: object, expected: Fault) -> None:
    assert transaction_fault(error) is expected


def test_every_code_and_status_has_a_fault() -> None:
    for code in (*range(-33_000, -31_900), *range(-100, 1000), 2**40):
        for method in ("getSlot", "sendTransaction"):
            of = code_fault(code, method)
            assert of.ends_call + of.opens_breaker <= 1
    assert {code_fault(code, "getSlot") for code in range(-32099, -32020)} == {Fault.INTERNAL}
    assert {status_fault(status) for status in range(500, 600)} == {Fault.PROVIDER}
    assert {status_fault(status) for status in (401, 402, 403)} == {Fault.PROVIDER}


def test_preflight_failure_is_the_fault_of_what_it_names() -> None:
    def of(error: Any) -> Fault:
        return code_fault(-32002, "sendTransaction", {"err": error, "logs": []})

    assert of({"InstructionError": [0, {"Custom": 6007}]}) is Fault.PROGRAM
    assert of("BlockhashNotFound") is Fault.BEHIND
    assert of("AlreadyProcessed") is Fault.REQUEST
    assert code_fault(-32002, "sendTransaction") is Fault.PROGRAM


@pytest.fixture
def guard() -> MemoryGuard:
    return MemoryGuard(POLICY)


@pytest.fixture
def rpc(endpoint: Endpoint, other: Endpoint, guard: MemoryGuard) -> Iterator[RpcClient]:
    """A client of both endpoints; the first one's URL holds a key."""
    urls = [f"{endpoint.url}/{KEY}/v2?api-key={KEY}-2", other.url]
    with RpcClient(urls, 0.3, guard=guard, attempts=1) as client:
        yield client


def states(guard: MemoryGuard) -> list[State]:
    return [breaker.state for breaker in guard.breakers().values()]


def contextual(slot: int, value: Any) -> Script:
    return result({"context": {"slot": slot}, "value": value})


@pytest.mark.parametrize(
    "script",
    [
        fault(-32603, "Internal error"),
        fault(-32600, "Must be authenticated", status=401),
        fault(-32602, "key is disabled", status=403),
        fault(403, "Forbidden"),
        fault(-32002, "resource unavailable"),
    ],
)
def test_failing_endpoint_that_answers_in_json_rpc_is_left(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, guard: MemoryGuard, script: Script
) -> None:
    endpoint.answer(script)
    other.answer(result(7))
    assert [rpc.slot("confirmed") for _ in range(4)] == [7] * 4
    assert len(endpoint.requests) == POLICY.failures
    assert State.OPEN in states(guard)


def test_send_is_passed_on_where_the_node_or_the_provider_failed(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient
) -> None:
    transaction = bytes([1]) + bytes(range(64)) + b"rest"
    signature = Keypair().sign_message(b"x")
    other.answer(result(str(signature)))
    maintenance = {"err": "ClusterMaintenance", "logs": []}
    for script in (
        fault(-32603, "Internal error"),
        fault(-32002, "Transaction simulation failed", maintenance),
    ):
        endpoint.answer(script)
        assert rpc.send(transaction + bytes([len(other.requests)])) == bytes(signature)
        # The next one starts with the other endpoint: start again with the first.
        rpc._sends.clear()
    refusal = {"err": {"InstructionError": [0, {"Custom": 6007}]}, "logs": []}
    endpoint.answer(fault(-32002, "Transaction simulation failed", refusal))
    other.answer(result(str(signature)))
    with pytest.raises(RpcError):
        rpc.send(transaction)
    assert other.requests == []


def test_simulation_is_passed_on_where_a_node_could_not_execute(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, guard: MemoryGuard
) -> None:
    endpoint.answer(contextual(5, {"err": "ClusterMaintenance", "logs": []}))
    other.answer(contextual(5, {"err": None, "logs": [], "unitsConsumed": 9}))
    assert rpc.simulate(b"\x00").units == 9
    other.answer(contextual(5, {"err": "AccountInUse", "logs": []}))
    assert rpc.simulate(b"\x00").error == "AccountInUse"
    other.answer(reply(status=500))
    assert rpc.simulate(b"\x00").error == "ClusterMaintenance"
    refusal = {"InstructionError": [0, {"Custom": 6007}]}
    endpoint.answer(contextual(5, {"err": refusal, "logs": []}))
    other.answer(contextual(5, {"err": None}))
    assert rpc.simulate(b"\x00").error == refusal
    assert other.requests == []


def test_what_one_endpoint_does_not_offer_is_asked_of_the_next(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, guard: MemoryGuard
) -> None:
    endpoint.answer(fault(-32601, "Method not found"))
    other.answer(result(7))
    assert [rpc.slot("confirmed") for _ in range(4)] == [7] * 4
    assert set(states(guard)) == {State.CLOSED}
    other.answer(fault(-32010, "excluded from account secondary indexes"))
    with pytest.raises(RpcError) as refused:
        rpc.slot("confirmed")
    assert not refused.value.transient
    # What the other one could not do now is no reason to give up.
    other.answer(fault(-32016, "Minimum context slot has not been reached"))
    with pytest.raises(RpcError) as behind:
        rpc.slot("confirmed")
    assert behind.value.transient


def test_state_older_than_asked_for_is_not_accepted(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, guard: MemoryGuard
) -> None:
    endpoint.answer(contextual(10, None))
    other.answer(contextual(12, None))
    assert rpc.account(CLOCK_SYSVAR, "finalized", 11).slot == 12
    assert rpc.account(CLOCK_SYSVAR, "finalized", 10).slot == 10
    with pytest.raises((NodeBehind, RpcUnavailable)):
        rpc.account(CLOCK_SYSVAR, "finalized", 13)
    assert set(states(guard)) == {State.CLOSED}


def test_account_in_another_encoding_is_not_decoded(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient
) -> None:
    def account(encoding: str) -> Script:
        row = {"owner": str(CLOCK_SYSVAR), "lamports": 1, "data": ["QUFB", encoding]}
        return contextual(5, row)

    endpoint.answer(account("base58"))
    other.answer(account("base64"))
    found = rpc.account(CLOCK_SYSVAR, "finalized").value
    assert found is not None
    assert found.data == b"AAA"
    assert len(other.requests) == 1


@pytest.mark.parametrize("status", [403, 500, 502, 503])
def test_retry_after_pauses_whatever_the_status(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, status: int
) -> None:
    endpoint.answer(reply(status=status, headers={"Retry-After": "3600"}))
    other.answer(result(7))
    assert [rpc.slot("confirmed") for _ in range(3)] == [7] * 3
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "value", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "1.5", "²", ""]
)
def test_senseless_retry_after_is_survived(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, value: str
) -> None:
    endpoint.answer(reply(status=429, headers={"Retry-After": value}))
    other.answer(result(7))
    assert rpc.slot("confirmed") == 7


def test_response_in_small_pieces_ends_in_time(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient
) -> None:
    def drip(request: dict[str, Any]) -> Reply:
        body = json.dumps({"id": request["id"], "result": 8, "padding": "x" * 1000})
        return Reply(body.encode(), drip=0.05)

    endpoint.answer(drip)
    other.answer(result(7))
    assert rpc.slot("confirmed") == 7


@pytest.mark.parametrize("status", [200, 401])
def test_keys_echoed_by_the_provider_are_not_repeated(
    endpoint: Endpoint, other: Endpoint, rpc: RpcClient, status: int
) -> None:
    message = f"the key {KEY}-2 or {KEY} is disabled; see /{KEY}/v2"
    endpoint.answer(fault(-32602, message, status=status))
    other.answer(fault(-32602, "no"))
    with pytest.raises((RpcError, RpcUnavailable)) as error:
        rpc.slot("confirmed")
    assert KEY not in f"{error.value} {error.value!r} {vars(error.value)}"
