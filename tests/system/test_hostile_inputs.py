"""Endpoints, a pin service and clients that misbehave, against one running system.

Each test makes something misbehave, sees that the system degrades as documented, lets it behave
again, and sees that nothing was lost. The system is booted once; the last test compares the
ledger with the chain.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest
from solders.keypair import Keypair
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.api.stalled_reader import stalled_reader
from tests.chain.endpoint import Reply, Script
from tests.chain.misbehaviour import Misbehaviour
from tests.proofs import test_signatures as envelopes
from tests.system.broken_folders import file_in_its_place, full_disk
from tests.system.hostile_system import (
    COMMENTS_PER_ADDRESS,
    COMMENTS_PER_WALLET,
    DRAFTS_PER_ADDRESS,
    PATIENCE,
    PINATA_TOKEN,
    SOCKETS,
    Change,
    Envelope,
    HostileSystem,
    draft_of,
    hanging,
    hostile_system,
)
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.stream import Frame, market_channel

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(1200)]

NO_WEBHOOKS: Final = {"kind": "webhook-drop"}
PREFERRED: Final = {"path": "/"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileSystem]:
    with hostile_system(tmp_path_factory.mktemp("hostile")) as made:
        yield made


# A1 to A4: answers that are well-formed and wrong.

FALSE_ANSWERS: Final = [
    pytest.param({"kind": "empty-logs"}, id="empty log"),
    pytest.param({"kind": "null-logs"}, id="no log"),
    pytest.param({"kind": "short-page", "rows": 1}, id="pages of one row"),
    pytest.param({"kind": "short-page", "rows": 7}, id="pages of seven rows"),
    pytest.param({"kind": "local-storage", "slots": 5}, id="five slots of history"),
    pytest.param({"kind": "circular-listing"}, id="circling pages"),
    pytest.param({"kind": "transaction-version", "version": 1}, id="version 1"),
]


@pytest.mark.parametrize("fault", FALSE_ANSWERS)
def test_false_answers_of_the_preferred_endpoint_cost_nothing(
    hostile: HostileSystem, fault: dict[str, Any]
) -> None:
    with hostile.faults(fault | PREFERRED, NO_WEBHOOKS):
        traded = [hostile.trade() for _ in range(3)]
        for signature in traded:
            hostile.await_read(signature)
        assert hostile.read_window() == "SUCCESS"
        assert {*traded} & {*hostile.gaps()} == set()
        assert [hostile.commitments(signature) for signature in traded] == [["finalized"]] * 3


@pytest.mark.parametrize(
    ("fault", "gap", "reason"),
    [
        ({"kind": "empty-logs"}, "contradictory", "0 frames of it in the log"),
        ({"kind": "transaction-version", "version": 2}, "unsupported", "version (2)"),
    ],
    ids=["empty log", "version 2"],
)
def test_what_no_endpoint_can_give_is_a_named_gap_until_one_can(
    hostile: HostileSystem, fault: dict[str, Any], gap: str, reason: str
) -> None:
    with hostile.faults(fault, NO_WEBHOOKS):
        signature = hostile.trade()
        hostile.system.wait_for(lambda: signature in hostile.gaps(), PATIENCE, "a gap")
        hostile.read_window()
        kind, text = hostile.gaps()[signature]
        assert kind == gap
        assert reason in text
        assert hostile.commitments(signature) == []
        assert hostile.failed_checks() != {}, "a trade is missing, and the checks see it"
    hostile.system.wait_for(lambda: signature not in hostile.gaps(), PATIENCE, "the gap closed")
    hostile.await_read(signature)


def test_empty_log_does_not_displace_what_a_webhook_reported(hostile: HostileSystem) -> None:
    with hostile.faults({"kind": "empty-logs"}):
        signature = hostile.trade()
        hostile.system.wait_for(
            lambda: hostile.commitments(signature) != [], PATIENCE, "the webhook's reading"
        )
        hostile.system.wait_for(lambda: signature in hostile.gaps(), PATIENCE, "a gap")
        hostile.read_window()
        assert set(hostile.commitments(signature)) <= {"reported", "confirmed", "finalized"}
        assert len(hostile.commitments(signature)) == 1
    hostile.system.wait_for(lambda: signature not in hostile.gaps(), PATIENCE, "the gap closed")
    hostile.await_read(signature)


def test_listing_that_circles_everywhere_covers_nothing(hostile: HostileSystem) -> None:
    with hostile.faults({"kind": "circular-listing"}, NO_WEBHOOKS):
        traded = [hostile.trade() for _ in range(5)]
        # A window that was being read when the fault began may still be covered.
        hostile.read_window()
        before = hostile.covered()
        assert hostile.read_window() == "FAILURE"
        assert hostile.covered() == before
    assert hostile.read_window() == "SUCCESS"
    assert [hostile.commitments(signature) for signature in traded] == [["finalized"]] * 5


# A5: whose fault an error is.

FAILING: Final = [
    pytest.param(Misbehaviour(403, "error", -32602).script, True, id="403 in JSON-RPC"),
    pytest.param(Misbehaviour(200, "error", -32603).script, True, id="internal error"),
    pytest.param(Misbehaviour(429, "text").script, False, id="429"),
    pytest.param(Misbehaviour(500, "html").script, True, id="500 in HTML"),
    pytest.param(Misbehaviour(200, "html").script, True, id="200 in HTML"),
    pytest.param(Misbehaviour(200, "error", -32005).script, True, id="unhealthy"),
    pytest.param(Misbehaviour(200, "error", -32019).script, True, id="no storage"),
    pytest.param(Misbehaviour(200, "truncated").script, True, id="cut"),
    pytest.param(Misbehaviour(200, "result is text").script, True, id="text"),
    pytest.param(hanging, True, id="hangs"),
]


@pytest.mark.parametrize(("change", "opens"), FAILING)
def test_failing_endpoint_is_replaced_and_shown(
    hostile: HostileSystem, change: Change, opens: bool
) -> None:
    name = f"rpc:{hostile.first.url.removeprefix('http://')}"

    def is_degraded() -> bool:
        found = hostile.quantity("event-indexer", "open_breakers")
        return found.get("status") == "degraded" and name in str(found["cause"])

    def is_closed() -> bool:
        breakers = hostile.system.get("/health/breakers")["breakers"]
        return all(row["state"] == "closed" for row in breakers)

    with hostile.faults(NO_WEBHOOKS), hostile.first_answers(change):
        signature = hostile.trade()
        hostile.await_read(signature)
        if opens:
            hostile.system.wait_for(is_degraded, PATIENCE, "health degraded by the endpoint")
        assert hostile.read_window() == "SUCCESS"
        assert hostile.commitments(signature) == ["finalized"]
    hostile.system.wait_for(is_closed, PATIENCE, "the breakers closed")
    hostile.system.wait_for(
        lambda: hostile.quantity("event-indexer", "open_breakers").get("status") == "ok",
        PATIENCE,
        "health recovered",
    )


# A6: the node's trouble is no refusal of the program.


def test_cluster_in_maintenance_postpones_a_submission_without_counting(
    hostile: HostileSystem,
) -> None:
    action, simulated = "aggregate_proposal_votes", list[str]()

    def maintenance(node: Script) -> Script:
        def script(request: dict[str, Any]) -> Reply:
            reply = node(request)
            if request["method"] != "simulateTransaction" or reply.drop:
                return reply
            simulated.append(request["method"])
            answer = json.loads(reply.body)
            answer["result"]["value"] |= {"err": "ClusterMaintenance", "logs": []}
            return Reply(json.dumps(answer).encode())

        return script

    market = hostile.propose()
    with hostile.both_answer(maintenance):
        assert hostile.vote(market, Keypair()).status_code == 201
        # Three rounds over both endpoints.
        hostile.system.wait_for(lambda: len(simulated) >= 6, PATIENCE, "simulated three times")
        status, failures, reason = hostile.intent(market, action)
        assert (status, failures) == ("planned", 0)
        assert "not executed: ClusterMaintenance" in reason
        assert hostile.times_on_chain(market, "ProposalAggregated") == 0
        breakers = hostile.system.get("/health/breakers")["breakers"]
        counted = [row["failures"] for row in breakers if row["name"] == f"action:{action}"]
        assert sum(counted) == 0
    hostile.await_state(market, MarketState.ACTIVE)
    hostile.system.wait_for(
        lambda: hostile.intent(market, action)[0] == "final", PATIENCE, "the intent final"
    )
    assert hostile.times_on_chain(market, "ProposalAggregated") == 1


# A8, A9: pins.


def bundle_of(hostile: HostileSystem, market: bytes) -> str:
    ((cid,),) = hostile.system.query(
        f"SELECT bundle_cid FROM voting.tallies WHERE market_id = '\\x{market.hex()}'"
    )
    return str(cid)


@contextmanager
def pinata_mode(hostile: HostileSystem, mode: str) -> Iterator[None]:
    hostile.pinata.mode = mode
    try:
        yield
    finally:
        hostile.pinata.mode = "good"


def test_pinata_that_answers_in_cid_v1_is_asked_for_v0_and_serves(hostile: HostileSystem) -> None:
    with pinata_mode(hostile, "v1"):
        market = hostile.propose()
        assert hostile.vote(market, Keypair()).status_code == 201
        hostile.await_state(market, MarketState.ACTIVE)
        assert hostile.pinata.options == {"cidVersion": 0}
        assert bundle_of(hostile, market) in hostile.pinata.blocks


def test_pinata_that_refuses_delays_the_tally_and_is_reported(hostile: HostileSystem) -> None:
    with pinata_mode(hostile, "refuse"):
        market = hostile.propose()
        assert hostile.vote(market, Keypair()).status_code == 201
        assert_not_pinned(hostile, [market], "Pinata responded with 401")
    assert_submitted_once(hostile, [market])


def assert_not_pinned(hostile: HostileSystem, markets: list[bytes], reason: str) -> None:
    """The tallies wait, each with an alert that says why."""

    def reported() -> bool:
        return {*markets} <= {*hostile.alerts("bundle_not_pinned")}

    hostile.system.wait_for(reported, PATIENCE, "an alert for each market")
    for market in markets:
        message = hostile.alerts("bundle_not_pinned")[market]
        assert reason in message
        assert PINATA_TOKEN not in message
        assert hostile.times_on_chain(market, "ProposalAggregated") == 0


def assert_submitted_once(hostile: HostileSystem, markets: list[bytes]) -> None:
    """The tallies that waited are submitted, once each, and their alerts are cleared."""
    for market in markets:
        hostile.await_state(market, MarketState.ACTIVE)
        assert bundle_of(hostile, market) in hostile.pinata.blocks
    hostile.system.wait_for(
        lambda: all(hostile.times_on_chain(one, "MarketActivated") == 1 for one in markets),
        PATIENCE,
        "the activations read",
    )
    for market in markets:
        assert hostile.times_on_chain(market, "ProposalAggregated") == 1
    hostile.system.wait_for(
        lambda: not {*markets} & {*hostile.alerts("bundle_not_pinned")}, PATIENCE, "no alert"
    )


@pytest.mark.parametrize(
    ("broken", "remedy"),
    [
        pytest.param(file_in_its_place, "remove the file", id="a file in its place"),
        pytest.param(
            full_disk,
            "free space",
            id="full",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="root alone mounts a full disk"),
        ),
    ],
)
def test_pin_folder_that_cannot_be_written_delays_tallies_and_drafts(
    hostile: HostileSystem,
    broken: Callable[[Path], AbstractContextManager[None]],
    remedy: str,
) -> None:
    markets = [hostile.propose() for _ in range(2)]
    wallet, body = Keypair(), draft_of(f"Is the folder of pins {remedy}?")
    with broken(hostile.system.state / "ipfs"):
        for market in markets:
            assert hostile.vote(market, Keypair()).status_code == 201
        assert_not_pinned(hostile, markets, remedy)
        refused = hostile.write(wallet, "/api/markets", body)
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["retry-after"]) > 0
        assert str(hostile.system.state) not in refused.text
        assert hostile.http.get("/health").status_code == 200
    assert_submitted_once(hostile, markets)
    assert hostile.write(wallet, "/api/markets", body).status_code == 201


# B6: hardware wallets.


def test_ballots_and_comments_of_hardware_wallets_count(hostile: HostileSystem) -> None:
    device = Keypair()
    layouts: list[Callable[[bytes], Envelope]] = [
        lambda _: lambda text: envelopes.ledger(text, 1),
        lambda key: lambda text: envelopes.documented(text, 1, bytes(32), key),
        lambda key: lambda text: envelopes.version_1(text, key),
    ]
    market = hostile.propose()
    for layout in layouts:
        voter = Keypair()
        answer = hostile.vote(market, voter, layout(bytes(voter.pubkey())))
        assert answer.status_code == 201, answer.text
    ledger = layouts[0](bytes(device.pubkey()))
    comment = {"market_id": market.hex(), "content": "signed on a device"}
    assert hostile.write(device, "/api/discussions", comment, ledger).status_code == 201
    stranger = hostile.vote(market, Keypair(), layouts[1](bytes(device.pubkey())))
    assert stranger.status_code == 401
    hostile.await_state(market, MarketState.ACTIVE)
    account = hostile.reader.market(market, "confirmed").value
    assert account is not None
    assert 1 <= account.proposal_likes <= 3
    assert account.proposal_dislikes == 0


# C3, C5, C6: clients and a chain that keep the API busy.


def test_reads_are_answered_while_drafts_wait_for_a_frozen_chain(hostile: HostileSystem) -> None:
    texts = [draft_of(f"Will the chain thaw before draft {number}?") for number in range(12)]
    wallets = [Keypair() for _ in texts]
    paths = ("/api/markets", f"/api/markets/{hostile.market.hex()}", "/health", "/health/live")
    node = hostile.chain.process

    def asked_for_a_draft() -> bool:
        asked = str(hostile.first.requests)
        return any(str(wallet.pubkey()) in asked for wallet in wallets)

    with ThreadPoolExecutor(len(texts)) as pool:
        node.send_signal(signal.SIGSTOP)
        try:
            drafts = [
                pool.submit(hostile.write, wallet, "/api/markets", body)
                for wallet, body in zip(wallets, texts, strict=True)
            ]
            hostile.system.wait_for(asked_for_a_draft, PATIENCE, "a draft at the chain")
            assert [hostile.http.get(path).status_code for path in paths] == [200] * len(paths)
            assert not all(draft.done() for draft in drafts), "reads were first"
            answers = [draft.result() for draft in drafts]
        finally:
            node.send_signal(signal.SIGCONT)
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0

    def is_stored() -> bool:
        return hostile.write(wallets[0], "/api/markets", texts[0]).status_code in (200, 201)

    hostile.system.wait_for(is_stored, PATIENCE, "a draft stored")
    hostile.await_read(hostile.trade())


def test_stalled_readers_of_replays_are_dropped_and_cost_little_memory(
    hostile: HostileSystem,
) -> None:
    login = {Role.INGEST.setting: hostile.system.login(Role.INGEST)}
    ledger = engine(Role.INGEST, Settings.model_validate(login))
    channel = market_channel(hostile.market)
    for _ in range(3):
        with ledger.begin() as conn:
            stream.append(conn, [Frame(channel, "trade", {"x": "x" * 4000}) for _ in range(100)])
    ledger.dispose()
    server = psutil.Process(hostile.system.pid("api"))
    port = int(hostile.system.environment["WS_PORT"])
    before = peak = server.memory_info().rss
    with ExitStack() as opened:
        for _ in range(SOCKETS - 1):
            opened.enter_context(stalled_reader(port, hostile.market))
        with connect(f"ws://127.0.0.1:{port}/") as reader:
            assert next(messages(reader))["type"] == "welcome"
            with (
                connect(f"ws://127.0.0.1:{port}/") as one_more,
                pytest.raises(ConnectionClosed, match=f"limit {SOCKETS}"),
            ):
                one_more.recv(PATIENCE)
            assert missed(reader, hostile.market)["data"]["reason"] == "too_much"
        deadline = time.monotonic() + PATIENCE
        while connections(server, port) > 0:
            assert time.monotonic() < deadline
            assert hostile.http.get("/health").status_code == 200
            peak = max(peak, server.memory_info().rss)
            time.sleep(0.1)
    assert peak - before < 50 << 20


def messages(reader: Connection) -> Iterator[dict[str, Any]]:
    while True:
        yield json.loads(reader.recv(PATIENCE))


def missed(reader: Connection, market: bytes) -> dict[str, Any]:
    """Ask for everything missed; the reset in the place of what the address may not have."""
    reader.send(json.dumps({"action": "subscribe", "market_id": market.hex(), "since": 0}))
    return next(one for one in messages(reader) if one["type"] == "reset")


def connections(server: psutil.Process, port: int) -> int:
    """How many sockets a server has open at a port."""
    return sum(one.laddr.port == port for one in server.net_connections("tcp") if one.raddr)


def test_writes_end_at_the_caps_of_wallet_and_address(hostile: HostileSystem) -> None:
    def comment(wallet: Keypair, number: int) -> httpx.Response:
        body = {"market_id": hostile.market.hex(), "content": f"number {number}"}
        return hostile.write(wallet, "/api/discussions", body)

    def draft(wallet: Keypair, number: int) -> httpx.Response:
        return hostile.write(wallet, "/api/markets", draft_of(f"Is draft {number} one too many?"))

    loud = Keypair()
    answers = [comment(loud, number) for number in range(COMMENTS_PER_WALLET + 1)]
    assert [one.status_code for one in answers] == [201] * COMMENTS_PER_WALLET + [429]
    assert_cap(answers[-1], "comments_per_wallet_hour", COMMENTS_PER_WALLET)
    for make, name, cap in (
        (comment, "comments_per_address_hour", COMMENTS_PER_ADDRESS),
        (draft, "drafts_per_address_hour", DRAFTS_PER_ADDRESS),
    ):
        with ThreadPoolExecutor(4) as pool:
            written = list(pool.map(lambda n, make=make: make(Keypair(), n), range(cap + 4)))
        assert {one.status_code for one in written} <= {201, 429}
        refused = [one for one in written if one.status_code == 429]
        assert len(refused) >= 4
        for one in refused:
            assert_cap(one, name, cap)
    ((comments,),) = hostile.system.query("SELECT count(*) FROM community.discussions")
    assert comments == COMMENTS_PER_ADDRESS


def assert_cap(answer: httpx.Response, name: str, value: int) -> None:
    """The refusal names the setting, its value, and when to come back."""
    body = answer.json()
    seconds = int(answer.headers["retry-after"])
    assert 0 < seconds <= 3600
    assert body["code"] == "limit_exceeded"
    assert body["limit"] == {"name": name, "value": value, "retry_after_seconds": seconds}
    assert f"retry after {seconds} s" in body["message"]


def test_in_the_end_the_ledger_is_the_chain_and_nothing_was_logged_as_a_crash(
    hostile: HostileSystem,
) -> None:
    hostile.assert_ledger_is_the_chain()
    assert hostile.failed_checks() == {}
    assert "Traceback" not in (hostile.system.state / "logs" / "api.log").read_text()
