"""Backfill from a real local chain: complete, in any order, after any interruption."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from solders.signature import Signature
from sqlalchemy import Engine, select

from tests.chain.endpoint import Endpoint, Reply, fault, reply
from tests.fixtures.postgres import TEMPLATE, name_database
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.ledger.recorded_rpc import PROGRAM
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.cli import main
from zmart_pipelines.ledger.model.projection import state_hash
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.ledger.readers import backfill as module
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.readers.backfill import BackfillProgress, backfill
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import chain as tables


@pytest.fixture
def rpc(stage: Stage) -> Iterator[RpcClient]:
    with RpcClient(stage.chain.rpc_url, 10, calls_per_second=10_000) as client:
        yield client


@pytest.fixture
def traded(stage: Stage) -> Stage:
    """Two markets and forty trades, all of it finalized."""
    for number in (1, 2):
        stage.open(stage.create(number))
    stage.trade_at_random(random.Random(4), 40)
    stage.chain.control.finalize()
    return stage


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short history has many commits, and slots that span two of them."""
    monkeypatch.setattr(module, "CHUNK_SIZE", 3)


def ranges(db: Engine) -> list[tuple[int, int]]:
    with db.connect() as conn:
        found = conn.execute(select(tables.coverage.c.slots)).scalars().all()
    return sorted((one.lower, one.upper - 1) for one in found)


def hashes(db: Engine, stage: Stage) -> dict[bytes, str]:
    with db.connect() as conn:
        folded = market_rows.load_projections(conn, stage.market_ids)
    return {market_id: state_hash(one) for market_id, one in folded.items()}


@pytest.fixture
def other(postgres_server: PostgresServer, database: str) -> Iterator[Engine]:
    """A second ledger, as empty as the first before the test."""
    name = f"{urlsplit(database).path[1:]}_other"
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, name, template=TEMPLATE)
        made = role_engine(Role.INGEST, postgres_server.url(name), pool_size=4)
        yield made
        made.dispose()
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_backfill_of_empty_database_equals_live_projection(
    db: Engine, other: Engine, traded: Stage, rpc: RpcClient, settings: Settings
) -> None:
    live = read_finalized_window(other, traded.rpc, settings)
    expected = hashes(other, traded)
    assert len(expected) == 2
    seen: list[BackfillProgress] = []
    report = backfill(
        db, rpc, settings, first_slot=0, last_slot=live.last_slot, progress=seen.append
    )
    assert report.complete
    assert hashes(db, traded) == expected
    assert stored(db, "finalized") == listed(traded.chain)
    assert (report.listed, report.fetched) == (live.listed, live.listed)
    assert (report.covered_before, report.covered_now) == (0, live.last_slot + 1)
    assert ranges(db) == [(0, live.last_slot)]
    assert [one.read for one in seen] == sorted(one.read for one in seen)
    assert (seen[-1].slot, seen[-1].read) == (live.last_slot, live.listed)
    with db.connect() as conn:
        sources = conn.execute(select(tables.transactions.c.sources).distinct()).scalars().all()
    assert sources == [Source.BACKFILL]
    assert_ledger_matches_chain(db, traded)


def test_covered_slots_are_not_read_again(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings
) -> None:
    tip = rpc.slot("finalized")
    backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    again = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert again.complete
    assert (again.covered_before, again.covered_now, again.calls) == (tip + 1, 0, 1)


@pytest.mark.parametrize("calls", [4, 9, 17, 30])
def test_interrupted_backfill_is_resumed(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings, calls: int
) -> None:
    tip = rpc.slot("finalized")
    left = calls

    class Dying(RpcClient):
        def responses(self, method: str, params: Any, result: Any, check: Any = None) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError("power cut")
            return super().responses(method, params, result, check)

    with (
        Dying(traded.chain.rpc_url, 10, calls_per_second=10_000) as dying,
        pytest.raises(RuntimeError, match="power cut"),
    ):
        backfill(db, dying, settings, first_slot=0, last_slot=tip)
    # What is covered is there: everything that the node lists in it.
    (end,) = [last for _, last in ranges(db)] or [-1]
    held = stored(db, "finalized")
    slots = {str(Signature(row.signature)): row.slot for row in rpc.signatures_for_address(PROGRAM)}
    assert {one for one, slot in slots.items() if slot <= end} <= held
    assert end < tip
    report = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert report.complete
    assert report.covered_before == end + 1
    assert report.fetched == len(slots) - len(held)
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


def test_crash_rolls_back_rows_and_coverage(
    db: Engine,
    traded: Stage,
    rpc: RpcClient,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(*_args: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("zmart_pipelines.ledger.readers.finality.orphan_unlisted", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            backfill(db, rpc, settings, first_slot=0, last_slot=rpc.slot("finalized"))
    assert (ranges(db), stored(db, "finalized")) == ([], set())


def test_uncovered_range_is_listed_from_nearest_transaction_above(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings
) -> None:
    tip = rpc.slot("finalized")
    third = tip // 3
    backfill(db, rpc, settings, first_slot=2 * third, last_slot=tip)
    backfill(db, rpc, settings, first_slot=0, last_slot=third - 1)
    assert ranges(db) == [(0, third - 1), (2 * third, tip)]
    asked: list[Any] = []
    original = rpc.signatures_for_address

    def spy(*args: Any, **options: Any) -> Any:
        asked.append(options["before"])
        return original(*args, **options)

    rpc.signatures_for_address = spy  # type: ignore[method-assign]
    report = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert report.complete
    assert report.covered_now == third
    assert asked[0] is not None
    assert ranges(db) == [(0, tip)]
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


def test_slots_not_finalized_stay_uncovered(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings
) -> None:
    tip = rpc.slot("finalized")
    report = backfill(db, rpc, settings, first_slot=tip - 3, last_slot=tip + 5)
    assert not report.complete
    assert report.uncovered == ((tip + 1, tip + 5),)
    ahead = backfill(db, rpc, settings, first_slot=tip + 1, last_slot=tip + 5)
    assert (ahead.complete, ahead.covered_now, ahead.covered_before) == (False, 0, 0)
    with pytest.raises(ValueError, match="before the first"):
        backfill(db, rpc, settings, first_slot=2, last_slot=1)


def test_missing_listed_transaction_is_a_gap_and_backfill_incomplete(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings
) -> None:
    tip = rpc.slot("finalized")
    traded.chain.control.command("fault", kind="null-result", times=1, methods=["getTransaction"])
    report = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert (report.gaps, report.complete, report.uncovered) == (1, False, ())
    assert len(stored(db, "finalized")) == len(listed(traded.chain)) - 1
    read_finalized_window(db, traded.rpc, settings)
    assert backfill(db, rpc, settings, first_slot=0, last_slot=tip).complete
    assert_ledger_matches_chain(db, traded)


def test_rate_limits_are_waited_for(db: Engine, traded: Stage, settings: Settings) -> None:
    waits: list[float] = []
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    with RpcClient(
        traded.chain.rpc_url,
        10,
        calls_per_second=10_000,
        patience=module.PATIENCE_SECONDS,
        sleep=sleep,
        clock=lambda: now,
    ) as rpc:
        tip = rpc.slot("finalized")
        for _ in range(7):
            # Longer than an ordinary client waits, and without a time more often than it tries.
            traded.chain.control.command(
                "fault", kind="rate-limit", times=1, methods=["getTransaction"], retry_after=40
            )
        traded.chain.control.command(
            "fault", kind="rate-limit", times=9, methods=["getSignaturesForAddress"]
        )
        report = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert report.complete
    assert report.limited == 16
    assert sum(waits) >= 40
    assert_ledger_matches_chain(db, traded)


def test_long_rate_limit_stops_backfill_and_keeps_what_was_read(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    with RpcClient(
        traded.chain.rpc_url,
        10,
        calls_per_second=10_000,
        patience=module.PATIENCE_SECONDS,
        sleep=sleep,
        clock=lambda: now,
    ) as rpc:
        tip = rpc.slot("finalized")
        backfill(db, rpc, settings, first_slot=0, last_slot=tip // 2)
        traded.chain.control.command("fault", kind="rate-limit", times=None)
        with pytest.raises(RateLimited):
            backfill(db, rpc, settings, first_slot=0, last_slot=tip)
        assert now >= 800
        traded.chain.control.command("clear-faults")
        assert ranges(db) == [(0, tip // 2)]
        assert backfill(db, rpc, settings, first_slot=0, last_slot=tip).complete


def test_rate_limit_spaces_calls_of_all_threads(traded: Stage) -> None:
    waited: list[float] = []
    with RpcClient(
        traded.chain.rpc_url, 10, calls_per_second=4, sleep=waited.append, clock=lambda: 0.0
    ) as rpc:
        for _ in range(5):
            rpc.slot("finalized")
    assert waited == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(ValueError, match="more than 0"):
        RpcClient(traded.chain.rpc_url, 10, calls_per_second=0)


class Provider:
    """The local chain behind an endpoint that also offers getTransactionsForAddress."""

    def __init__(self, stage: Stage, *, page: int = 4, keeps: int = 0) -> None:
        """``keeps``: history older than this slot is not in the pages."""
        self.url = stage.chain.rpc_url
        self.page = page
        self.keeps = keeps
        self.asked: list[str] = []

    def __call__(self, request: dict[str, Any]) -> Reply:
        self.asked.append(request["method"])
        if request["method"] != "getTransactionsForAddress":
            return Reply(httpx.post(self.url, json=request, trust_env=False).content)
        address, options = request["params"]
        window = options["filters"]["slot"]
        rows = self._node("getSignaturesForAddress", address, {"commitment": "finalized"})[::-1]
        rows = [
            row for row in rows if max(self.keeps, window["gte"]) <= row["slot"] <= window["lte"]
        ]
        start = int(options.get("paginationToken", "0:0").split(":")[1])
        get = {"encoding": "json", "commitment": "finalized", "maxSupportedTransactionVersion": 0}
        data = [
            self._node("getTransaction", row["signature"], get)
            for row in rows[start : start + self.page]
        ]
        end = start + self.page
        token = f"0:{end}" if end < len(rows) else None
        answer = {"data": data, "paginationToken": token}
        return Reply(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}).encode())

    def _node(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx.post(self.url, json=body, trust_env=False).json()["result"]


@pytest.mark.parametrize("forgets", [False, True])
def test_transaction_pages_are_used_but_the_listing_decides(
    db: Engine, traded: Stage, settings: Settings, forgets: bool
) -> None:
    endpoint = Endpoint()
    try:
        with RpcClient(endpoint.url, 10, calls_per_second=10_000) as rpc:
            tip = traded.rpc.slot("finalized")
            provider = Provider(traded, keeps=tip // 2 if forgets else 0)
            endpoint.answer(provider)
            report = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    finally:
        endpoint.close()
    assert report.complete
    assert "getTransactionsForAddress" in provider.asked
    assert ("getTransaction" in provider.asked) == forgets
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


REFUSALS = {
    "unknown": fault(-32601, "Method not found"),
    "plan": fault(-32403, "getTransactionsForAddress needs a paid plan", status=403),
    "forbidden": reply(body=b"<html>Forbidden</html>", status=403),
    "broken": reply(body=b"", status=500),
}


@pytest.mark.parametrize("refusal", sorted(REFUSALS))
def test_endpoint_without_pages_is_read_one_by_one(
    db: Engine, traded: Stage, settings: Settings, refusal: str
) -> None:
    endpoint = Endpoint()
    asked = []

    def ordinary(request: dict[str, Any]) -> Reply:
        asked.append(request["method"])
        if request["method"] == "getTransactionsForAddress":
            return REFUSALS[refusal](request)
        return Reply(httpx.post(traded.chain.rpc_url, json=request, trust_env=False).content)

    endpoint.answer(ordinary)
    try:
        with RpcClient(endpoint.url, 10, calls_per_second=10_000, sleep=lambda _: None) as rpc:
            report = backfill(
                db, rpc, settings, first_slot=0, last_slot=traded.rpc.slot("finalized")
            )
    finally:
        endpoint.close()
    assert report.complete
    # Asked again only where the answer said nothing about the method.
    assert asked.count("getTransactionsForAddress") == (1 if refusal == "unknown" else 4)
    assert report.calls == len(asked)
    assert_ledger_matches_chain(db, traded)


def test_anchor_unknown_to_the_node_proves_nothing(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = rpc.slot("finalized")
    backfill(db, rpc, settings, first_slot=tip // 2, last_slot=tip)
    original = RpcClient.signatures_for_address
    asked: list[bytes | None] = []

    def forgetful(*args: Any, **options: Any) -> Any:
        asked.append(options["before"])
        return [] if len(asked) == 1 else original(*args, **options)

    monkeypatch.setattr(RpcClient, "signatures_for_address", forgetful)
    assert backfill(db, rpc, settings, first_slot=0, last_slot=tip).complete
    assert asked[0] is not None
    assert asked[1] is None
    monkeypatch.undo()
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


def test_node_with_pruned_history_covers_only_what_it_has(
    db: Engine, traded: Stage, rpc: RpcClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = rpc.slot("finalized")
    monkeypatch.setattr(RpcClient, "first_available_block", lambda _: 9)
    report = backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert (report.uncovered, report.complete) == (((0, 8),), False)
    assert ranges(db) == [(9, tip)]
    monkeypatch.undo()
    assert backfill(db, rpc, settings, first_slot=0, last_slot=tip).complete


def test_unavailable_endpoint_stops_backfill(db: Engine, traded: Stage, settings: Settings) -> None:
    tip = traded.rpc.slot("finalized")
    with RpcClient(traded.chain.rpc_url, 10, calls_per_second=10_000, sleep=lambda _: None) as rpc:
        traded.chain.control.command("fault", kind="server-error", times=None)
        with pytest.raises(RpcUnavailable):
            backfill(db, rpc, settings, first_slot=0, last_slot=tip)
    assert ranges(db) == []


def test_backfill_command(
    database: str,
    redis_url: str,
    traded: Stage,
    db: Engine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    name_database(monkeypatch, database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SOLANA_RPC_URL", traded.chain.rpc_url)
    monkeypatch.setenv("BACKFILL_CALLS_PER_SECOND", "5000")
    tip = traded.rpc.slot("finalized")
    wide = CliRunner().invoke(main, ["backfill", "--to-slot", str(tip + 9)])
    assert wide.exit_code == 1
    assert f"not covered: {tip + 1} to {tip + 9}" in wide.output
    assert "covered to slot" in wide.stderr
    done = CliRunner().invoke(main, ["backfill", "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["complete"], facts["covered_before"], facts["last_slot"]) == (True, tip + 1, tip)
    wrong = CliRunner().invoke(main, ["backfill", "--from-slot", "5", "--to-slot", "4"])
    assert wrong.exit_code == 2
    assert "before the first" in wrong.output
    assert_ledger_matches_chain(db, traded)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=6),
    st.integers(0, 40),
    st.integers(0, 20),
)
def test_subtract_ranges_returns_what_no_range_contains(
    spans: list[tuple[int, int]], first: int, length: int
) -> None:
    covered = {slot for start, size in spans for slot in range(start, start + size + 1)}
    merged: list[tuple[int, int]] = []
    for slot in sorted(covered):
        if merged and merged[-1][1] == slot:
            merged[-1] = (merged[-1][0], slot + 1)
        else:
            merged.append((slot, slot + 1))
    last = first + length
    touching = [one for one in merged if one[0] <= last and one[1] > first]
    uncovered = coverage.subtract_ranges(touching, first, last)
    assert {s for a, b in uncovered for s in range(a, b + 1)} == set(
        range(first, last + 1)
    ) - covered
    assert all(a <= b for a, b in uncovered)
