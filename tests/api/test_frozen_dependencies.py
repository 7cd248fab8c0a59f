"""A dependency that hangs: its own requests get a 503 in time, the others are served."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from solders.keypair import Keypair
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError
from websockets.sync.client import connect

from tests.api.conftest import SECRET
from tests.api.frozen import frozen, frozen_node
from tests.api.running_api import RunningApi, running
from tests.api.seed import market
from tests.api.test_ballot_process import MARKETS, body
from tests.api.wallets import signed_in
from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine, running_postgres
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.migrate import migrate
from zmart_pipelines.store.tables import voting

# Far above what is expected, far below what a hang takes: the machine may be busy.
HANG = 45.0
DRAFT = {
    "question": "Will the frozen node ever answer again?",
    "category": "other",
    "end_date": "2036-03-01T12:00:00Z",
    "liquidity": 10**9,
}


def client(api: RunningApi) -> httpx.Client:
    return httpx.Client(base_url=api.url, timeout=HANG, trust_env=False)


def post_draft(api: RunningApi) -> httpx.Response:
    with client(api) as http:
        return http.post("/api/markets", json=DRAFT | signed_in(Keypair()))


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


def test_reads_are_answered_while_drafts_wait_for_a_frozen_node(
    api_settings: Settings, tmp_path: Path
) -> None:
    """With threads shared between the chain and Postgres, no read was answered until the end."""
    with frozen_node() as node:
        settings = Settings(
            **api_settings.model_dump()
            | {
                "solana_rpc_url": node,
                "rpc_timeout": HANG,
                "api_chain_seconds": 10,
                "api_chain_threads": 2,
                "api_queue": 6,
                # No breaker: every draft must wait.
                "breaker_endpoint_failures": 1000,
            }
        )
        with running(settings, tmp_path) as api, ThreadPoolExecutor(12) as pool:
            drafts = [pool.submit(post_draft, api) for _ in range(12)]
            # Two run, six wait, four are refused at once: then all the others are in.
            deadline = time.monotonic() + HANG
            while sum(draft.done() for draft in drafts) < 4:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with client(api) as http:
                reads = [http.get("/api/markets").status_code for _ in range(20)]
            assert reads == [200] * 20
            assert any(not draft.done() for draft in drafts), "drafts waited during the reads"
            assert all(is_refused(draft.result()) for draft in drafts)
            assert "Traceback" not in api.log.read_text()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A migrated Postgres that the test may freeze."""
    with running_postgres() as server:
        migrate(server.url())
        yield server


def stored_ballots(pool: Engine) -> int:
    with pool.connect() as conn:
        return int(conn.execute(select(func.count()).select_from(voting.ballots)).scalar_one())


def threads_of(api: RunningApi) -> int:
    assert api.process is not None
    return len(list(Path(f"/proc/{api.process.pid}/task").iterdir()))


def test_frozen_postgres_is_a_503_in_time_and_nothing_is_claimed(
    own_postgres: PostgresServer, api_settings: Settings, tmp_path: Path
) -> None:
    url = own_postgres.url()
    ledger = role_engine(Role.INGEST, url)
    with ledger.begin() as conn:
        for market_id in MARKETS:
            market(conn, market_id, state=0)
    settings = Settings(
        **api_settings.model_dump()
        | login_settings(url)
        | {"api_database_seconds": 2, "webhook_answer_seconds": 1}
    )
    bodies = [body(number) for number in range(11)]
    with running(settings, tmp_path) as api, client(api) as http:

        def vote(number: int) -> httpx.Response:
            with client(api) as own:
                return own.post("/api/votes/proposal", json=bodies[number])

        assert vote(0).status_code == 201
        assert http.get("/api/markets").status_code == 200
        with (
            connect(api.socket_url()) as socket,
            ThreadPoolExecutor(60) as pool,
        ):
            with frozen(own_postgres):
                began = time.monotonic()
                reads = [
                    pool.submit(httpx.get, f"{api.url}/api/markets", timeout=HANG)
                    for _ in range(40)
                ]
                votes = [pool.submit(vote, number) for number in range(1, 11)]
                hook = pool.submit(
                    httpx.post,
                    f"{api.url}/api/webhooks/helius",
                    content=b"[]",
                    headers={"Authorization": SECRET, "Content-Type": "application/json"},
                    timeout=HANG,
                )
                assert json.loads(socket.recv(HANG))["type"] == "welcome"
                socket.send(json.dumps({"action": "subscribe", "channel": "markets"}))
                assert json.loads(socket.recv(HANG))["type"] == "error"
                answers = [one.result() for one in (*reads, *votes)]
                assert all(is_refused(answer) for answer in answers)
                assert hook.result().status_code in (200, 503)
                # All at once, and 2 s each: forty reads on four threads do not queue up.
                assert time.monotonic() - began < HANG
                busy = threads_of(api)
                again = [
                    pool.submit(httpx.get, f"{api.url}/api/markets", timeout=HANG)
                    for _ in range(40)
                ]
                assert all(is_refused(one.result()) for one in again)
                assert threads_of(api) <= busy + 2, "no thread is left behind by a request"
            # It recovers by itself, and the clients retry what was not acknowledged.
            deadline = time.monotonic() + HANG
            while http.get("/api/markets").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            retried = []
            for number in range(11):
                answer = vote(number)
                while answer.status_code == 503 and time.monotonic() < deadline:
                    answer = vote(number)
                retried.append(answer)
        assert {answer.status_code for answer in retried} == {201}
        assert retried[0].json()["repeated"], "an acknowledged ballot is stored"
        assert "Traceback" not in api.log.read_text()
    assert stored_ballots(ledger) == 11
    ledger.dispose()


@pytest.mark.process
def test_every_engine_gives_up_a_server_that_does_not_answer(own_postgres: PostgresServer) -> None:
    pool = role_engine(Role.PIPELINES, own_postgres.url(), pool_size=1, statement_timeout=1)
    statement = select(func.now())

    def hangs() -> bool:
        """Whether a statement on an open connection, and a new connection, hang."""
        errors: list[Exception] = []

        def ask() -> None:
            for _ in range(2):
                try:
                    with pool.connect() as conn:
                        conn.execute(statement)
                except OperationalError as error:
                    errors.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(HANG)
        return thread.is_alive() or len(errors) != 2

    with pool.connect() as conn:
        conn.execute(statement)
    with frozen(own_postgres):
        assert not hangs()
    with pool.connect() as conn:
        assert conn.execute(statement).scalar_one()
    pool.dispose()
