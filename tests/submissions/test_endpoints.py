"""Submissions through endpoints that fail, lag, limit and lose answers: one effect all the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.chain.endpoint import Endpoint, Reply, Script, forward
from tests.submissions.test_drive import ready
from tests.submissions.world import World
from zmart_pipelines.breakers.endpoint_breakers import DatabaseGuard
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.submissions import driver

POLICY = Policy(failures=3, pauses=(timedelta(seconds=1),))


@pytest.fixture
def endpoints() -> Iterator[list[Endpoint]]:
    made = [Endpoint(), Endpoint()]
    yield made
    for one in made:
        one.close()


def weather(url: str, seed: int) -> Script:
    """What a bad day at a provider is like."""
    dice = random.Random(seed)
    behind = [forward(f"{url}/lag/{blocks}") for blocks in (2, 6, 12)]

    def script(request: dict[str, Any]) -> Reply:
        luck = dice.random()
        if luck < 0.15:
            return Reply(b"oops", 500)
        if luck < 0.25:
            return Reply(b"", 429, {"Retry-After": "0"})
        if luck < 0.40:
            return dice.choice(behind)(request)
        answer = forward(url)(request)
        return Reply(drop=True) if luck < 0.50 else answer

    return script


@pytest.mark.parametrize("seed", [1, 2])
def test_bad_weather_at_two_endpoints_changes_no_effect(
    world: World, endpoints: list[Endpoint], seed: int
) -> None:
    market = ready(world)
    url = world.chain.rpc_url
    for number, endpoint in enumerate(endpoints):
        endpoint.answer(weather(url, 10 * seed + number))
    with RpcClient(
        [endpoint.url for endpoint in endpoints], 5, guard=DatabaseGuard(world.engine, POLICY)
    ) as rpc:
        statuses: list[str] = []
        # A run that finds no way ends; the next one goes on, as the schedule has it.
        for _ in range(12):
            with world.ticking():
                report = driver.drive(
                    world.engine,
                    rpc,
                    AccountReader(rpc, world.program),
                    world.signers,
                    world.settings,
                    seconds=15,
                )
            statuses += [outcome.status for outcome in report.outcomes]
            if statuses.count("final") == 2:
                break
    assert statuses.count("final") == 2, statuses
    assert world.effects(market, "ProposalAggregated") == 1
    assert world.effects(market, "ProposalApproved") == 1
    assert all(endpoint.requests for endpoint in endpoints)


def test_with_the_preferred_endpoint_gone_nothing_is_noticed(
    world: World, endpoints: list[Endpoint]
) -> None:
    market = ready(world)
    first, second = endpoints
    first.answer(lambda _: Reply(b"oops", 502))
    second.answer(forward(world.chain.rpc_url))
    guard = DatabaseGuard(world.engine, Policy(failures=3))
    with RpcClient([first.url, second.url], 5, guard=guard) as rpc, world.ticking():
        report = driver.drive(
            world.engine,
            rpc,
            AccountReader(rpc, world.program),
            world.signers,
            world.settings,
            seconds=30,
        )
    assert [outcome.status for outcome in report.outcomes] == ["final", "final"]
    assert world.effects(market, "ProposalAggregated") == 1
    assert len(first.requests) == 3
