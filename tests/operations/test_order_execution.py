"""Orders are carried out once, whatever happens to their runs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.fixtures.localnet import Localnet
from tests.operations import world
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.operations import operator_acts
from zmart_pipelines.operations.order_execution import Ended, Means, carry_out, give_up
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.audit import ServiceActor, WalletActor
from zmart_pipelines.store.engine import Role, act_as_operator
from zmart_pipelines.store.queries import orders
from zmart_pipelines.store.queries.orders import NewOrder, OrderRow
from zmart_pipelines.submissions import switches
from zmart_pipelines.voting import tallies

WALLET = b"\x01" * 32


@pytest.fixture
def means(database: str) -> Iterator[Means]:
    """Connections of the pipelines; no chain answers."""

    def no_chain() -> AccountReader:
        raise AssertionError("no act here reads the chain")

    made = Means(
        role_engine(Role.PIPELINES, database, pool_size=10),
        role_engine(Role.INGEST, database),
        no_chain,
        Settings(**login_settings(database)),
    )
    yield made
    made.pipelines.dispose()
    made.ingest.dispose()


@pytest.fixture
def means_with_chain(means: Means, localnet: Localnet) -> Iterator[Means]:
    """The same, for acts that read the chain."""
    with RpcClient(localnet.rpc_url, 10) as rpc:
        yield msgspec.structs.replace(means, reader=lambda: AccountReader(rpc, localnet.program))


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    made = role_engine(Role.API, database)
    yield made
    made.dispose()


def order(api: Engine, kind: str, parameters: dict[str, Any], key: str = "k") -> int:
    """Order something as the API does."""
    new = NewOrder(kind, parameters, "a drill", key, WalletActor(WALLET))
    with api.begin() as conn:
        act_as_operator(conn, WALLET)
        made = orders.add(conn, new)
    assert made is not None
    return made.id


def stored(means: Means, order_id: int) -> OrderRow:
    with means.pipelines.connect() as conn:
        found = orders.by_id(conn, order_id)
    assert found is not None
    return found


OFF = {"action": "all", "enabled": False}


def test_act_result_and_audit_row_are_one_transaction(means: Means, api: Engine) -> None:
    number = order(api, "switch", OFF)
    assert stored(means, number).status == "requested"
    assert carry_out(means, number, "run-1") == Ended("done", "all is off")
    row = stored(means, number)
    assert (row.status, row.run_id, row.attempts) == ("done", "run-1", 1)
    assert row.accepted_at is not None
    assert row.ended_at is not None
    assert row.accepted_at <= row.ended_at
    (act,) = world.acts(means.pipelines)
    assert (act.entry_point, act.wallet, act.action) == ("dagster", WALLET, "switch")
    assert (act.subject, act.reason) == ("all", "a drill")
    assert act.details == {"order": number, "run_id": "run-1", "enabled": False}
    with means.pipelines.connect() as conn:
        assert switches.read_switches(conn)[0].reason == "a drill"


def test_each_kind_does_what_it_says(means_with_chain: Means, api: Engine) -> None:
    means = means_with_chain
    with means.pipelines.begin() as conn:
        world.open_breaker(conn)
        retried, closed = world.failed_intent(conn), world.failed_intent(conn, 1)
        world.frozen_vote(conn)
    with means.ingest.begin() as conn:
        delivery = world.stored_delivery(conn)
    market = world.MARKET.hex()
    wanted: dict[str, tuple[dict[str, Any], str]] = {
        "breaker_reset": ({"name": world.BREAKER}, f"{world.BREAKER} is closed"),
        "retry_submission": ({"intent": retried}, f"intent {retried} is planned"),
        "close_submission": ({"intent": closed}, f"intent {closed} is closed"),
        "reopen_vote": (
            {"market": market, "kind": "proposal"},
            "the proposal vote is open in round 1",
        ),
        "redeliver": ({"delivery": delivery}, "0 new transactions, 0 new events"),
        "redecode": ({}, "0 of 0 quarantined events are decoded"),
    }
    for kind, (parameters, result) in wanted.items():
        number = order(api, kind, parameters, kind)
        assert carry_out(means, number, f"run of {kind}") == Ended("done", result), kind
    assert [act.action for act in world.acts(means.pipelines)] == list(wanted)
    with means.pipelines.connect() as conn:
        state = conn.execute(text("SELECT state FROM ops.breakers")).scalar_one()
        opened = tallies.current_tally(conn, world.MARKET, "proposal").opened_chain_time
    assert state == "closed"
    assert opened == means.reader().rpc.chain_clock("finalized").unix_timestamp


@pytest.mark.parametrize(
    ("kind", "parameters", "why"),
    [
        ("switch", {"action": "everything", "enabled": True}, "is not one of"),
        ("breaker_reset", {"name": "rpc:none"}, "there is no breaker rpc:none"),
        ("retry_submission", {"intent": 99}, "intent 99 does not exist"),
        ("close_submission", {"intent": 99}, "intent 99 does not exist"),
        ("redeliver", {"delivery": 99}, "there is no delivery 99"),
        ("redecode", {"unknown": 1}, "unknown field"),
    ],
)
def test_refused_act_fails_the_order_with_its_reason(
    means: Means, api: Engine, kind: str, parameters: dict[str, Any], why: str
) -> None:
    number = order(api, kind, parameters)
    ended = carry_out(means, number, "run-1")
    assert ended.status == "failed"
    assert why in ended.result
    last = world.acts(means.pipelines)[-1]
    assert (last.action, last.subject) == ("order_failed", str(number))
    assert why in last.details["why"]


def test_vote_that_is_not_frozen_is_not_reopened(means_with_chain: Means, api: Engine) -> None:
    number = order(api, "reopen_vote", {"market": "07" * 32, "kind": "dispute"})
    ended = carry_out(means_with_chain, number, "run-1")
    assert ended.status == "failed"
    assert "no frozen dispute vote" in ended.result


def test_ended_order_is_not_carried_out_again(means: Means, api: Engine) -> None:
    number = order(api, "switch", OFF)
    first = carry_out(means, number, "run-1")
    assert carry_out(means, number, "run-2") == first
    assert len(world.acts(means.pipelines)) == 1
    assert stored(means, number).run_id == "run-1"
    with pytest.raises(LookupError, match="no order 4711"):
        carry_out(means, 4711, "run-1")


def test_concurrent_runs_act_once(means: Means, api: Engine) -> None:
    """A run that was taken for dead goes on beside the one that took over."""
    number = order(api, "switch", OFF)
    with ThreadPoolExecutor(8) as pool:
        runs = [f"run-{n}" for n in range(8)]
        list(pool.map(lambda run: carry_out(means, number, run), runs))
    assert stored(means, number).status == "done"
    assert [act.action for act in world.acts(means.pipelines)] == ["switch"]


class Killed(BaseException):
    """The process ends here."""


def test_run_that_is_killed_in_the_act_leaves_no_trace_and_the_next_takes_over(
    means: Means, api: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = order(api, "switch", OFF)
    real = operator_acts.set_switch

    def dies(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        raise Killed

    monkeypatch.setattr(operator_acts, "set_switch", dies)
    with pytest.raises(Killed):
        carry_out(means, number, "run-1")
    assert stored(means, number).status == "accepted"
    assert world.acts(means.pipelines) == []
    with means.pipelines.connect() as conn:
        assert switches.read_switches(conn)[0].enabled
    monkeypatch.undo()
    assert carry_out(means, number, "run-2").status == "done"
    assert stored(means, number).attempts == 2
    assert len(world.acts(means.pipelines)) == 1


def test_order_without_a_result_is_given_up_once(means: Means, api: Engine) -> None:
    number = order(api, "switch", OFF)
    give_up(means, stored(means, number))
    give_up(means, stored(means, number))
    row = stored(means, number)
    assert (row.status, row.result) == (
        "failed",
        "given up after 5 runs that ended without a result",
    )
    assert [act.action for act in world.acts(means.pipelines)] == ["order_failed"]


def test_one_key_is_one_order(api: Engine) -> None:
    new = NewOrder("switch", OFF, "a drill", "k", ServiceActor("desk", None))
    with api.begin() as conn:
        act_as_operator(conn, None)
        assert orders.add(conn, new) is not None
        assert orders.add(conn, new) is None
        found = orders.by_key(conn, "k")
    assert found is not None
    assert found.requester == ServiceActor("desk", None)


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'other'",
        "parameters = '{}'",
        "kind = 'redecode'",
        "wallet = sha256('x')",
        "status = 'requested', accepted_at = NULL, ended_at = NULL, result = NULL",
        "status = 'accepted', ended_at = NULL, result = NULL",
        "result = 'something else'",
    ],
)
def test_what_was_ordered_and_has_ended_is_immutable(
    means: Means, api: Engine, database: str, change: str
) -> None:
    carry_out(means, order(api, "switch", OFF), "run-1")
    owner = role_engine(Role.OWNER, database)
    with owner.connect() as conn:
        # Even a login that might update every row.
        conn.execute(text("CREATE POLICY all_of_it ON ops.orders FOR UPDATE USING (true)"))
        with pytest.raises(IntegrityError, match="immutable"):
            conn.execute(text(f"UPDATE ops.orders SET {change}"))
    with owner.connect() as conn, pytest.raises(DBAPIError, match="append-only"):
        conn.execute(text("TRUNCATE ops.orders"))
    owner.dispose()


def test_api_cannot_carry_out_an_order(api: Engine) -> None:
    number = order(api, "switch", OFF)
    with api.begin() as conn:
        act_as_operator(conn, WALLET)
        with pytest.raises(DBAPIError, match="permission denied"):
            orders.end(conn, number, "done", "by hand")
