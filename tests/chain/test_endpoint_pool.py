"""Several endpoints over real HTTP, in front of a real node: which are called, and the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer
from sqlalchemy import Engine, event

from tests.chain.endpoint import Endpoint, Reply, Script, fault, forward, reply, result
from tests.fixtures.localnet import Localnet
from zmart_pipelines.breakers.endpoint_breakers import DatabaseGuard, MemoryGuard
from zmart_pipelines.breakers.machine import Policy, State
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.endpoint_pool import LAST_RESORT_PAUSE, EndpointPool
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import build_transaction, signature_of
from zmart_pipelines.program.ids import CLOCK_SYSVAR
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.breakers import breaker_statuses

SECRET = "sentinel-api-key"
DOWN: list[Script] = [
    reply(status=500, body=b"oops"),
    reply(drop=True),
    reply(body=b"<html>"),
    reply(status=403),
    fault(-32005, "Node is behind by 42 slots"),
]


class Time:
    """A clock that sleeping moves, and the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


Client = Callable[..., RpcClient]


@pytest.fixture
def client(endpoint: Endpoint, other: Endpoint, time: Time) -> Iterator[Client]:
    """Makes clients of both endpoints, the first one preferred."""
    made: list[RpcClient] = []

    def make(*urls: str, timeout: float = 10, **options: object) -> RpcClient:
        addresses = urls or (f"{endpoint.url}/{SECRET}?k={SECRET}", f"{other.url}/{SECRET}")
        made.append(
            RpcClient(addresses, timeout, sleep=time.sleep, clock=time, **options)  # type: ignore[arg-type]
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("down", DOWN)
def test_next_endpoint_is_used_until_the_preferred_one_recovers(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time, down: Script
) -> None:
    rpc = client()
    endpoint.answer(down)
    other.answer(result(7))
    assert rpc.slot("confirmed") == 7
    assert (len(endpoint.requests), len(other.requests), time.slept) == (1, 1, [])
    endpoint.answer(result(8))
    other.answer(result(7))
    assert rpc.slot("confirmed") == 8
    assert other.requests == []


def test_endpoint_that_times_out_is_skipped(
    endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    endpoint.answer(reply(body=b"{}", delay=4))
    other.answer(result(7))
    assert client(timeout=3).slot("confirmed") == 7
    assert len(endpoint.requests) == 1


FAULTS: dict[str, Script] = {
    "429": reply(status=429),
    "500": reply(status=500, body=b"oops"),
    "timeout": reply(body=b"{}", delay=0.35),
    "garbage": reply(body=b"<html>"),
    "lag": fault(-32016, "Minimum context slot has not been reached"),
    "reset": reply(drop=True),
}


@pytest.mark.parametrize("first", FAULTS)
def test_pairs_of_faults_are_survived(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time, first: str
) -> None:
    rpc = client(guard=MemoryGuard(POLICY, clock=time.utc), timeout=0.3)
    for second in FAULTS.values():
        endpoint.answer(FAULTS[first], FAULTS[first], result(8))
        other.answer(second, second, result(7))
        assert rpc.slot("confirmed") in (7, 8)
        time.now += 3600


def test_error_of_the_request_is_raised_at_once(
    endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    endpoint.answer(fault(-32602, "Invalid params"))
    other.answer(result(7))
    with pytest.raises(RpcError, match="Invalid params"):
        client().slot("confirmed")
    assert other.requests == []


def test_unavailability_of_all_endpoints_is_one_error_that_names_them(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(reply(status=502, body=SECRET.encode()))
    other.answer(reply(drop=True))
    rpc = client(
        f"{endpoint.url}/{SECRET}", other.url, f"http://{SECRET}@127.0.0.1:{unused_port()}/"
    )
    with pytest.raises(RpcUnavailable) as error:
        rpc.slot("confirmed")
    text = str(error.value)
    assert text.startswith("getSlot: HTTP 502 from http://127.0.0.1:")
    assert f"at {other.url}; no connection at" in text
    assert SECRET not in text + repr(rpc) + repr(rpc.endpoints)
    assert (len(endpoint.requests), len(other.requests), len(time.slept)) == (4, 4, 3)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_an_endpoint(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time, status: int
) -> None:
    rpc = client()
    endpoint.answer(reply(status=status, headers={"Retry-After": "30"}), result(8))
    other.answer(result(7))
    assert [rpc.slot("confirmed") for _ in range(3)] == [7, 7, 7]
    assert (len(endpoint.requests), len(other.requests), time.slept) == (1, 3, [])
    time.now += 28
    assert rpc.slot("confirmed") == 7
    time.now += 2
    assert rpc.slot("confirmed") == 8
    assert (rpc.calls, rpc.rate_limited) == (6, 1)


def test_read_waits_for_the_soonest_of_rate_limited_endpoints(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(reply(status=429, headers={"Retry-After": "8"}), result(8))
    other.answer(reply(status=429, headers={"Retry-After": "3"}), result(7))
    assert client().slot("confirmed") == 7
    assert 3 <= sum(time.slept) < 4
    assert (len(endpoint.requests), len(other.requests)) == (1, 2)


def test_rate_limits_beyond_patience_are_raised_to_the_caller(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(reply(status=429, headers={"Retry-After": "80"}))
    other.answer(reply(status=429, headers={"Retry-After": "60"}))
    rpc = client()
    with pytest.raises(RateLimited) as error:
        rpc.slot("confirmed")
    assert (error.value.retry_after, time.slept) == (60, [])
    with pytest.raises(RateLimited, match="allows no call yet"):
        rpc.slot("confirmed")
    assert rpc.calls == 2
    time.now += 60
    other.answer(result(7))
    assert rpc.slot("confirmed") == 7


def test_each_endpoint_has_its_own_limit(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(result(8))
    other.answer(result(7))
    rpc = client(calls_per_second=0.5, burst=2)
    assert [rpc.slot("confirmed") for _ in range(4)] == [8, 8, 7, 7]
    assert time.slept == []
    assert rpc.slot("confirmed") == 8
    assert time.slept == [2.0]


def test_single_attempt_never_waits(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(reply(status=500))
    other.answer(reply(status=429, headers={"Retry-After": "1"}))
    with pytest.raises(RateLimited):
        client(attempts=1).slot("confirmed")
    assert (len(endpoint.requests), len(other.requests), time.slept) == (1, 1, [])


def test_pinned_pool_uses_the_node_that_responded_first(
    endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    rpc = client()
    endpoint.answer(reply(status=500))
    other.answer(result(7))
    node = rpc.pinned()
    assert node.slot("confirmed") == 7
    endpoint.answer(result(8))
    assert node.slot("confirmed") == 7
    assert rpc.slot("confirmed") == 8
    other.answer(reply(status=500))
    with pytest.raises(RpcUnavailable):
        node.slot("confirmed")
    assert rpc.slot("confirmed") == 8
    assert rpc.pinned().slot("confirmed") == 8


# Breakers.

POLICY = Policy(failures=3, probe=timedelta(seconds=20))


def test_failing_endpoint_is_skipped_then_probed_once(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    guard = MemoryGuard(POLICY, clock=time.utc)
    rpc = client(guard=guard)
    endpoint.answer(reply(status=500))
    other.answer(result(7))
    for _ in range(10):
        assert rpc.slot("confirmed") == 7
    assert len(endpoint.requests) == 3
    time.now += 300
    for _ in range(3):
        assert rpc.slot("confirmed") == 7
    assert len(endpoint.requests) == 4
    time.now += 600
    endpoint.answer(result(8))
    assert rpc.slot("confirmed") == 8
    assert rpc.slot("confirmed") == 8
    assert {one.state for one in guard.breakers().values()} == {State.CLOSED}


@pytest.mark.parametrize(
    "script",
    [
        reply(status=429),
        reply(status=503, headers={"Retry-After": "0"}),
        fault(-32016, "Minimum context slot has not been reached"),
        fault(-32602, "Invalid params"),
        fault(-32601, "Method not found"),
    ],
)
def test_errors_that_open_no_breaker(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time, script: Script
) -> None:
    guard = MemoryGuard(POLICY, clock=time.utc)
    rpc = client(guard=guard, attempts=1)
    endpoint.answer(script)
    other.answer(script)
    for _ in range(10):
        with pytest.raises((RpcError, RateLimited)):
            rpc.slot("confirmed")
    assert {one.state for one in guard.breakers().values()} == {State.CLOSED}


def test_rate_limited_probe_is_returned(
    endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    guard = MemoryGuard(POLICY, clock=time.utc)
    rpc = client(guard=guard, attempts=1)
    endpoint.answer(reply(status=500))
    other.answer(result(7))
    for _ in range(3):
        rpc.slot("confirmed")
    time.now += 300
    endpoint.answer(reply(status=429), result(8))
    assert [rpc.slot("confirmed") for _ in range(2)] == [7, 8]


@pytest.fixture
def db(database: str) -> Iterator[Engine]:
    pool = role_engine(Role.PIPELINES, database, pool_size=10)
    yield pool
    pool.dispose()


def states(db: Engine) -> dict[str, str]:
    with db.connect() as conn:
        return {one.name: one.state for one in breaker_statuses(conn)}


@pytest.mark.parametrize("stored", [False, True])
def test_only_endpoint_recovers_with_its_first_response(
    db: Engine, endpoint: Endpoint, client: Client, time: Time, stored: bool
) -> None:
    memory = MemoryGuard(POLICY, clock=time.utc)
    rpc = client(endpoint.url, guard=DatabaseGuard(db, POLICY, clock=time) if stored else memory)

    def seen() -> set[str]:
        if stored:
            return set(states(db).values())
        return {one.state.value for one in memory.breakers().values()}

    endpoint.answer(reply(status=500))
    with pytest.raises(RpcUnavailable, match="HTTP 500"):
        rpc.slot("confirmed")
    asked = len(endpoint.requests)
    assert seen() == {"open"}
    # At most one request a second and no retries, however many calls there are.
    for _ in range(20):
        with pytest.raises(RpcUnavailable):
            rpc.slot("confirmed")
    assert len(endpoint.requests) <= asked + 1
    with pytest.raises(
        RpcUnavailable, match=r"circuit open after repeated failures: 127\.0\.0\.1:"
    ):
        rpc.slot("confirmed")
    endpoint.answer(result(8))
    time.now += LAST_RESORT_PAUSE
    assert rpc.slot("confirmed") == 8
    assert seen() == {"closed"}


def test_breakers_in_the_database_outlive_the_process_and_serve_all(
    db: Engine, endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(reply(status=500, body=SECRET.encode()))
    other.answer(result(7))
    first = client(guard=DatabaseGuard(db, POLICY, clock=time))
    for _ in range(3):
        assert first.slot("confirmed") == 7
    name = f"rpc:{endpoint.url.removeprefix('http://')}"
    assert states(db)[name] == "open"
    with db.connect() as conn:
        assert SECRET not in repr(breaker_statuses(conn))
    # As after a restart, and as in a process that has known it closed for a second.
    second = client(guard=DatabaseGuard(db, POLICY, clock=time))
    assert second.slot("confirmed") == 7
    assert len(endpoint.requests) == 3


def test_one_of_many_processes_probes(
    db: Engine, endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    soon = Policy(failures=1, pauses=(timedelta(0),))
    endpoint.answer(reply(status=500))
    other.answer(result(7))
    client(guard=DatabaseGuard(db, soon, clock=time)).slot("confirmed")
    released = threading.Event()

    def slow(request: dict[str, Any]) -> Reply:
        released.wait(10)
        return result(8)(request)

    endpoint.answer(slow)
    clients = [
        RpcClient(
            [endpoint.url, other.url],
            10,
            guard=DatabaseGuard(db, soon, clock=time),
        )
        for _ in range(6)
    ]
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(one.slot, "confirmed") for one in clients]
        for count, _ in enumerate(as_completed(answers), 1):
            if count == 5:
                released.set()
        slots = sorted(answer.result() for answer in answers)
    for one in clients:
        one.close()
    assert slots == [7] * 5 + [8]
    assert len(endpoint.requests) == 1
    assert set(states(db).values()) == {"closed"}


def test_healthy_endpoint_costs_one_breaker_read_per_second(
    db: Engine, endpoint: Endpoint, client: Client, time: Time
) -> None:
    endpoint.answer(result(8))
    rpc = client(endpoint.url, guard=DatabaseGuard(db, POLICY, clock=time))
    begun: list[object] = []
    event.listen(db, "begin", begun.append)
    for _ in range(50):
        rpc.slot("confirmed")
    assert len(begun) == 1
    time.now += 1.1
    rpc.slot("confirmed")
    assert len(begun) == 2


# A real chain behind them.


@pytest.fixture
def moving(localnet: Localnet) -> Localnet:
    localnet.control.advance(30)
    return localnet


def test_lagging_node_refuses_reads_with_min_context_slot(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client, time: Time
) -> None:
    guard = MemoryGuard(POLICY, clock=time.utc)
    rpc = client(guard=guard)
    endpoint.answer(forward(f"{moving.rpc_url}/lag/20"))
    other.answer(forward(moving.rpc_url))
    tip = RpcClient(moving.rpc_url, 10).slot("finalized")
    past = rpc.account(CLOCK_SYSVAR, "finalized")
    assert past.slot < tip
    assert other.requests == []
    assert rpc.account(CLOCK_SYSVAR, "finalized", tip).slot >= tip
    assert len(other.requests) == 1
    assert {one.failures for one in guard.breakers().values()} == {0}
    with pytest.raises(RpcError, match=r"-32016"):
        rpc.account(CLOCK_SYSVAR, "finalized", tip + 1000)


def pay(chain: Localnet, rpc: RpcClient) -> bytes:
    """A transfer, signed."""
    payer = chain.keys["faucet"]
    to = Keypair().pubkey()
    move = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=10**9))
    return build_transaction(
        payer.pubkey(), [move], rpc.latest_blockhash("confirmed").hash, [payer]
    )


def landed(chain: Localnet, signature: bytes) -> bool:
    chain.control.advance(2)
    with RpcClient(chain.rpc_url, 10) as rpc:
        return rpc.signature_statuses([signature], search_history=True).value != [None]


def test_other_nodes_are_called_for_what_one_does_not_know(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    with RpcClient(moving.rpc_url, 10) as direct:
        signature = direct.send(pay(moving, direct))
        moving.control.advance(12)
        tip = direct.signature_statuses([signature], search_history=True).slot
    unknown = b"\x05" * 64
    endpoint.answer(forward(f"{moving.rpc_url}/lag/25"))
    other.answer(forward(moving.rpc_url))
    rpc = client()
    # Without the history one node is called; with it all are, until one knows the transaction.
    assert rpc.signature_statuses([signature], search_history=False).value == [None]
    assert other.requests == []
    found = rpc.signature_statuses([unknown, signature], search_history=True)
    assert found.slot == tip
    assert found.value[0] is None
    assert found.value[1] is not None
    assert found.value[1].commitment == "finalized"
    assert rpc.transaction(signature, "finalized") is not None
    assert rpc.transaction(unknown, "finalized") is None
    # Whichever node is called first, the slot is that of the most advanced one.
    swapped = client(other.url, endpoint.url).signature_statuses([unknown], search_history=True)
    assert (swapped.slot, swapped.value) == (tip, [None])
    # The node that knows is unavailable: the result is only as fresh as the node that responded.
    other.answer(reply(status=500))
    late = rpc.signature_statuses([signature], search_history=True)
    assert late.value == [None]
    assert late.slot < tip


def test_node_that_forgets_transactions_does_not_delay_them(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    endpoint.answer(forward(moving.rpc_url))
    other.answer(forward(moving.rpc_url))
    rpc = client()
    data = pay(moving, rpc)
    signature = signature_of(data)
    moving.control.command("fault", kind="dropped-send")
    other.answer(forward(moving.rpc_url))
    assert rpc.send(data) == signature
    assert (other.requests, landed(moving, signature)) == ([], False)
    assert rpc.send(data) == signature
    assert (len(other.requests), landed(moving, signature)) == (1, True)


def test_send_uses_the_next_node_only_where_the_first_is_unavailable(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    endpoint.answer(forward(moving.rpc_url))
    other.answer(forward(moving.rpc_url))
    rpc = client()
    rpc.send(pay(moving, rpc))
    assert other.requests == []
    data = pay(moving, rpc)
    endpoint.answer(reply(status=500))
    assert rpc.send(data) == signature_of(data)
    assert len(other.requests) == 1
    assert landed(moving, signature_of(data))


def test_refusal_is_raised_at_once(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    endpoint.answer(forward(moving.rpc_url))
    other.answer(forward(moving.rpc_url))
    rpc = client()
    poor = Keypair()
    move = transfer(
        TransferParams(from_pubkey=poor.pubkey(), to_pubkey=CLOCK_SYSVAR, lamports=10**9)
    )
    blockhash = rpc.latest_blockhash("confirmed").hash
    with pytest.raises(RpcError) as error:
        rpc.send(build_transaction(poor.pubkey(), [move], blockhash, [poor]))
    assert error.value.code == -32002
    assert other.requests == []


def test_refusal_after_a_lost_response_is_not_proof(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    other.answer(forward(moving.rpc_url))
    rpc = client()
    endpoint.answer(forward(moving.rpc_url))
    data = pay(moving, rpc)

    def lost(request: dict[str, Any]) -> Reply:
        """Forward the transaction and drop the response."""
        forward(moving.rpc_url)(request)
        moving.control.advance(2)
        return Reply(drop=True)

    endpoint.answer(lost)
    with pytest.raises(RpcUnavailable) as error:
        rpc.send(data)
    assert "ProtocolError at" in str(error.value)
    assert "This transaction has already been processed (-32002)" in str(error.value)
    assert landed(moving, signature_of(data))


def test_blockhash_unknown_to_one_node_is_sent_to_the_next(
    moving: Localnet, endpoint: Endpoint, other: Endpoint, client: Client
) -> None:
    endpoint.answer(forward(f"{moving.rpc_url}/lag/20"))
    other.answer(forward(moving.rpc_url))
    with RpcClient(moving.rpc_url, 10) as direct:
        data = pay(moving, direct)
    assert client().send(data) == signature_of(data)
    assert len(endpoint.requests) == len(other.requests) == 1


# Names and settings.


def test_names_distinguish_hosts_and_reveal_nothing_else() -> None:
    urls = ["https://u:p@a.example/key", "https://a.example/other?k=1", "http://b.example:8899"]
    with EndpointPool(urls, 1) as pool:
        assert pool.endpoints == ("a.example", "a.example#2", "b.example:8899")


def test_endpoints_come_from_the_settings(endpoint: Endpoint, other: Endpoint) -> None:
    endpoint.answer(reply(status=500))
    other.answer(result(7))
    one = Settings(solana_rpc_url=other.url)
    assert one.rpc_urls == (other.url,)
    several = Settings(solana_rpc_urls=f" {endpoint.url}, {other.url},", solana_rpc_url="http://no")
    assert several.rpc_urls == (endpoint.url, other.url)
    assert endpoint.url not in repr(several)
    assert Settings(solana_rpc_urls=" , ", solana_rpc_url=other.url).rpc_urls == (other.url,)
    with connect(several) as rpc:
        assert rpc.slot("confirmed") == 7


@pytest.mark.parametrize(
    ("urls", "given", "rate"),
    [
        ("http://127.0.0.1:8899", None, None),
        ("http://localhost:1,http://[::1]:2", None, None),
        ("http://127.0.0.1:8899", 5, 5),
        ("https://a.example", None, 50),
        ("http://127.0.0.1:8899,https://a.example", None, 50),
        ("https://a.example", 5, 5),
    ],
)
def test_the_limit_of_the_settings(
    urls: str, given: float | None, rate: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float | None] = []
    monkeypatch.setattr(
        "zmart_pipelines.chain.connect.RpcClient",
        lambda *_, calls_per_second, **__: seen.append(calls_per_second),
    )
    connect(Settings(solana_rpc_urls=urls, rpc_calls_per_second=given))
    assert seen == [rate]


def test_pool_needs_an_endpoint() -> None:
    with pytest.raises(ValueError, match="at least one RPC URL"):
        EndpointPool([], 1)
    with pytest.raises(ValueError, match="more than 0 calls"):
        EndpointPool("http://a.example", 1, calls_per_second=0)
