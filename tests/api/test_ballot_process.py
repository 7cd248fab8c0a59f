"""Acknowledged ballots are stored even if the process is killed."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import Engine, func, select

from tests.api.running_api import running
from tests.api.seed import market
from tests.voting.world import ballot, wallet
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import voting
from zmart_pipelines.voting import tallies

MARKETS = [bytes([number]) * 32 for number in (1, 2, 3)]
BALLOTS = 300
KILLED_AFTER = 100


def body(number: int) -> dict[str, Any]:
    """The request of one wallet."""
    signed = ballot(MARKETS[number % 3], wallet(number + 1), number % 4 > 0)
    return {
        "market_id": signed.market_id.hex(),
        "vote": signed.choice,
        "message": signed.message,
        "signature": str(Signature(signed.signature)),
        "wallet": str(Pubkey(signed.wallet)),
    }


def test_acknowledged_ballots_survive_a_kill_of_the_process(
    api_settings: Settings, ledger: Engine, tmp_path: Path
) -> None:
    with ledger.begin() as conn:
        for market_id in MARKETS:
            market(conn, market_id, state=0)
    bodies = [body(number) for number in range(BALLOTS)]
    acknowledged: set[int] = set()
    enough = threading.Event()
    local = threading.local()

    with running(api_settings, tmp_path) as api:

        def cast_ballot(number: int) -> httpx.Response:
            if not hasattr(local, "client"):
                local.client = httpx.Client(base_url=api.url, timeout=60, trust_env=False)
            answer: httpx.Response = local.client.post("/api/votes/proposal", json=bodies[number])
            return answer

        def before(number: int) -> None:
            try:
                answer = cast_ballot(number)
            except httpx.TransportError:
                return
            assert answer.status_code == 201, answer.text
            acknowledged.add(number)
            if len(acknowledged) >= KILLED_AFTER:
                enough.set()

        with ThreadPoolExecutor(12) as pool:
            sent = [pool.submit(before, number) for number in range(BALLOTS)]
            assert enough.wait(60)
            api.stop(signal.SIGKILL)
            for one in sent:
                one.result()
        assert KILLED_AFTER <= len(acknowledged) < BALLOTS
        with ledger.connect() as conn:
            stored = set(conn.execute(select(voting.ballots.c.wallet)).scalars())
            assert tallies.find_mismatches(conn) == []
        assert {bytes(wallet(number + 1).pubkey()) for number in acknowledged} <= stored

        # The clients retry: stored ballots are answered as repeats, and none counts twice.
        api.start()
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(cast_ballot, range(BALLOTS)))
    assert {answer.status_code for answer in answers} == {201}
    repeated = {number for number, answer in enumerate(answers) if answer.json()["repeated"]}
    assert len(repeated) == len(stored)
    assert acknowledged <= repeated
    with ledger.connect() as conn:
        count = conn.execute(select(func.count()).select_from(voting.ballots)).scalar_one()
        assert tallies.find_mismatches(conn) == []
        likes = conn.execute(select(func.sum(voting.tallies.c.votes_for))).scalar_one()
    assert (count, likes) == (BALLOTS, sum(one["vote"] for one in bodies))
