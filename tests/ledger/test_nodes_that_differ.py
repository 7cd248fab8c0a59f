"""Several endpoints behind one reader: coverage is proved with one node's history only."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.chain.endpoint import Endpoint, Reply, forward
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health


@pytest.fixture
def endpoints() -> Iterator[list[Endpoint]]:
    made = [Endpoint(), Endpoint()]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def traded(stage: Stage) -> Stage:
    stage.open(stage.create(1))
    stage.trade_at_random(random.Random(5), 30)
    stage.chain.control.finalize()
    return stage


class Forgetful:
    """A node that pruned its history and fails to say where it begins."""

    def __init__(self, url: str, keeps: int) -> None:
        self.ask = forward(url)
        self.keeps = keeps

    def __call__(self, request: dict[str, Any]) -> Reply:
        if request["method"] == "getFirstAvailableBlock":
            return Reply(b"oops", 500)
        answer = self.ask(request)
        if request["method"] != "getSignaturesForAddress":
            return answer
        body = json.loads(answer.body)
        body["result"] = [row for row in body["result"] if row["slot"] >= self.keeps]
        return Reply(json.dumps(body).encode())


def methods(endpoint: Endpoint) -> set[str]:
    return {request["method"] for request in endpoint.requests}


def test_listing_and_history_start_come_from_one_node(
    db: Engine, traded: Stage, settings: Settings, endpoints: list[Endpoint]
) -> None:
    first, second = endpoints
    url = traded.chain.rpc_url
    tip = traded.rpc.slot("finalized")
    first.answer(Forgetful(url, keeps=tip // 2))
    second.answer(forward(url))
    with RpcClient(first.url, 10, sleep=lambda _: None) as rpc:
        with pytest.raises(RpcUnavailable):
            read_finalized_window(db, rpc, settings)
        with db.connect() as conn:
            assert health.coverage(conn) == []
    with RpcClient([first.url, second.url], 10, sleep=lambda _: None) as rpc:
        # What the first cannot prove is listed by the second, all of it.
        report = read_finalized_window(db, rpc, settings)
    assert methods(first) >= {"getFirstAvailableBlock", "getSignaturesForAddress"}
    assert methods(second) == {"getFirstAvailableBlock", "getSignaturesForAddress"}
    assert (report.first_slot, report.uncovered_ranges, report.gaps) == (0, 0, 0)
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


def test_lagging_node_before_a_current_one(
    db: Engine, traded: Stage, settings: Settings, endpoints: list[Endpoint]
) -> None:
    first, second = endpoints
    url = traded.chain.rpc_url
    first.answer(forward(f"{url}/lag/30"))
    second.answer(forward(url))
    with RpcClient([first.url, second.url], 10) as rpc:
        poll_confirmed(db, rpc, settings, seconds=30)
        read_finalized_window(db, rpc, settings)
        traded.chain.control.advance(40)
        poll_confirmed(db, rpc, settings, seconds=30)
        report = read_finalized_window(db, rpc, settings)
    assert (report.uncovered_ranges, report.gaps) == (0, 0)
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)
