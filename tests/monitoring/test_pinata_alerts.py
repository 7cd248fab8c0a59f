"""The causes ``failed_uploads`` and ``pin_storage`` with Pinata: a server that answers as it does.

The adapter is the product's, and requests of users go through the API.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from solders.keypair import Keypair

from tests.api.chain_world import MARKET
from tests.api.signing_in import session_of
from tests.ipfs.pinata_server import Pinata, running_pinata
from tests.monitoring.scenarios.api_process import api, written
from tests.monitoring.scenarios.stage import Stage
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.monitoring.monitor import PIN_STORAGE_SECONDS, run_monitor
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.queries.api_counts import PIN_MINUTES

USERS = AlertKey("failed_uploads", subject="users")
STORAGE = AlertKey("pin_storage")
HANG = 30.0

Post = Callable[[httpx.Client, dict[str, str], int], httpx.Response]


@pytest.fixture
def pinata() -> Iterator[Pinata]:
    with running_pinata() as server:
        yield server


def account(pinata: Pinata) -> dict[str, Any]:
    """The settings of an account at the server."""
    return {
        "pinata_jwt": SecretStr("token-of-the-account"),
        "pinata_api_url": pinata.url.rstrip("/"),
        "pinata_gateway_url": f"{pinata.url}ipfs",
    }


def document(number: int) -> bytes:
    return f"What the station measured, part {number}.".encode()


def post_document(client: httpx.Client, headers: dict[str, str], number: int) -> httpx.Response:
    data = base64.b64encode(document(number)).decode()
    return client.post("/api/documents", json={"data": data}, headers=headers)


def post_draft(client: httpx.Client, headers: dict[str, str], number: int) -> httpx.Response:
    body = MARKET | {"question": f"Will it rain in Ghent on day {number}?"}
    keyed = headers | {"Idempotency-Key": f"draft {number}"}
    return client.post("/api/markets", json=body, headers=keyed)


@pytest.mark.parametrize(
    ("post", "mode"),
    [
        (post_document, "refuse"),
        (post_document, "garbage"),
        (post_document, "wrong"),
        (post_document, "hang"),
        (post_draft, "refuse"),
        (post_draft, "hang"),
    ],
)
def test_uploads_of_users_that_pinata_does_not_accept_raise_one_alert_until_it_does(
    stage: Stage, pinata: Pinata, post: Post, mode: str
) -> None:
    user = Keypair()
    chain = {"solana_rpc_url": stage.world.chain.rpc_url} if post is post_draft else {}
    if chain:
        stage.world.fund(user)
    patience = {"api_pin_seconds": 0.5 if mode == "hang" else HANG}
    with api(stage, **account(pinata), **chain, **patience) as client:
        headers = session_of(client, user)
        pinata.mode = mode

        def fail(number: int) -> None:
            answer = post(client, headers, number)
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text

        for number in (1, 2):
            fail(number)
        written(stage, "sum(failed_pins) = 2")
        stage.monitor()
        assert stage.open() == [], "two failures may be an accident"
        fail(3)
        written(stage, "sum(failed_pins) = 3")
        for _ in range(2):
            stage.monitor()
            assert stage.open() == [USERS]

        pinata.mode = "good"
        pinata.release.set()
        pinata.blocks.clear()
        for number in (1, 2, 3):
            answer = post(client, headers, number)
            assert answer.status_code == 201, answer.text
        assert len(pinata.blocks) == 3, "what was sent again is pinned"
        if post is post_document:
            assert set(pinata.blocks) == {cid_v0(document(number)) for number in (1, 2, 3)}
    stage.pass_time(60 * (PIN_MINUTES + 1))
    stage.monitor()
    assert stage.open() == []


def test_what_is_pinned_at_pinata_is_measured_and_alerted(stage: Stage, pinata: Pinata) -> None:
    limits = {"pin_storage_bytes": Threshold(1_000, 2_000)}
    settings: Settings = stage.settings(**account(pinata), **limits)
    store = configured_pin_store(settings, timeout=1)

    def measure() -> list[AlertKey]:
        """A round of the monitor in which the size is asked for again."""
        stage.pass_time(PIN_STORAGE_SECONDS + 1)
        run_monitor(stage.engine, settings, pins=store)
        return stage.open()

    assert store.pin(b"a" * 900)
    assert measure() == []
    # Another machine of the account has pinned: what is kept here stays below the limit.
    pinata.blocks[cid_v0(b"of another machine")] = bytes(200)
    run_monitor(stage.engine, settings, pins=store)
    assert stage.open() == [], "it was measured just now"
    assert measure() == [STORAGE]
    for mode in ("refuse", "garbage", "no size", "size is infinite", "hang"):
        pinata.mode = mode
        assert measure() == [STORAGE], f"{mode}: what is not known is not over"
    pinata.mode = "good"
    del pinata.blocks[cid_v0(b"of another machine")]
    assert measure() == []


@pytest.mark.parametrize("mode", ["refuse", "garbage", "no size", "size is infinite", "hang"])
def test_pinata_that_names_no_size_neither_ends_the_round_nor_raises_the_alert(
    stage: Stage, pinata: Pinata, mode: str
) -> None:
    settings = stage.settings(**account(pinata), pin_storage_bytes=Threshold(1, 2))
    pinata.mode = mode
    began = time.monotonic()
    run_monitor(stage.engine, settings, pins=configured_pin_store(settings, timeout=0.5))
    assert time.monotonic() - began < HANG
    assert stage.open() == []
