"""The ledger behind a preferred endpoint that misbehaves: complete, true, and covered as read."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest
from sqlalchemy import Engine

from tests.chain.endpoint import Endpoint, Reply, Script, forward
from tests.chain.misbehaviour import Misbehaviour, all_misbehaviours
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health

# Not getFirstAvailableBlock: where a node's history begins only that node can say, so a window
# is not closed where it fails in this alone (test_nodes_that_differ).
METHODS: Final = ("getSlot", "getSignaturesForAddress", "getTransaction")
# The time of a case grows with the events before it: all cases are tried in so many parts.
PARTS: Final = 16
# None: every method.
Case = tuple[Misbehaviour, str | None]


def answered() -> list[Case]:
    """Return the misbehaviours after which the other endpoint answers, with each method."""
    return [
        (misbehaviour, method)
        for misbehaviour, method in itertools.product(all_misbehaviours(), (None, *METHODS))
        if misbehaviour.outcome(method or "getSlot") == "answered"
    ]


def sampled() -> list[Case]:
    """Return some of them, the same ones each time."""
    return random.Random(3).sample(answered(), 20)


def only(method: str | None, bad: Script, good: Script) -> Script:
    """Return a node that misbehaves in one method."""

    def script(request: dict[str, Any]) -> Reply:
        return (bad if method in (None, request["method"]) else good)(request)

    return script


@pytest.fixture
def bad() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


def part(number: int) -> list[Case]:
    """Return one of the parts of all of them."""
    return answered()[number::PARTS]


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(sampled, id="sampled"),
        *(
            pytest.param(partial(part, number), id=f"part{number}", marks=pytest.mark.slow)
            for number in range(PARTS)
        ),
    ],
)
def test_ledger_is_complete_with_one_endpoint_that_misbehaves(
    db: Engine,
    stage: Stage,
    settings: Settings,
    bad: Endpoint,
    cases: Callable[[], list[Case]],
) -> None:
    stage.open(stage.create(1))
    dice, url = random.Random(5), stage.chain.rpc_url
    node = forward(url)
    for number, (misbehaviour, method) in enumerate(cases()):
        if number % 100 == 99:
            stage.fund()
        stage.trade_at_random(dice, 1)
        stage.chain.control.finalize()
        tip = stage.rpc.slot("finalized")
        bad.answer(only(method, misbehaviour.script(node), node))
        with RpcClient([bad.url, url], 10, sleep=lambda _: None) as rpc:
            poll_confirmed(db, rpc, settings, seconds=60)
            report = read_finalized_window(db, rpc, settings)
        case = f"{misbehaviour}, {method}"
        assert (report.uncovered_ranges, report.gaps) == (0, 0), case
        assert stored(db, "finalized") == listed(stage.chain), case
        with db.connect() as conn:
            assert [(row.first_slot, row.last_slot) for row in health.coverage(conn)] == [
                (0, tip)
            ], case
    assert_ledger_matches_chain(db, stage)


def test_nothing_is_covered_where_every_endpoint_misbehaves(
    db: Engine, stage: Stage, settings: Settings, bad: Endpoint
) -> None:
    stage.open(stage.create(1))
    stage.chain.control.finalize()
    node = forward(stage.chain.rpc_url)
    for misbehaviour, method in sampled():
        if method not in (None, "getSlot", "getSignaturesForAddress"):
            continue
        bad.answer(only(method, misbehaviour.script(node), node))
        with (
            RpcClient(bad.url, 10, attempts=1) as rpc,
            pytest.raises((RpcError, RpcUnavailable)),
        ):
            read_finalized_window(db, rpc, settings)
        with db.connect() as conn:
            assert health.coverage(conn) == []
        assert stored(db, "finalized") == set()
