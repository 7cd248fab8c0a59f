"""Connections are shared by many wallets' requests; no request sees another wallet's rows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, text

from api.database import Database, DatabaseBusy
from tests.store.secured_tables import SECURED
from zmart_pipelines.settings import Settings

WALLETS = [bytes([number]) * 32 for number in range(1, 21)]
REQUESTS = 1500
AT_ONCE = 60
_DRAFT = SECURED["community.market_drafts"].inserts[""].replace(":key", "sha256(:wallet)")
_CREATORS = text("SELECT creator FROM community.market_drafts, pg_sleep(:seconds)")


class Fails(Exception):
    """A handler that raises in the middle of its transaction."""


@pytest.fixture
def shared(api_settings: Settings) -> Iterator[Database]:
    """Few connections, so that each serves many wallets."""
    made = Database(api_settings.model_copy(update={"api_write_threads": 3, "api_queue": 200}))
    yield made
    made.close()


def seen(conn: Connection, seconds: float) -> set[bytes]:
    return {bytes(one) for one in conn.execute(_CREATORS, {"seconds": seconds}).scalars()}


def test_interleaved_and_cancelled_requests_see_no_foreign_rows(shared: Database) -> None:
    outcomes, foreign = asyncio.run(traffic(shared))
    assert foreign == []
    assert all(outcomes[kind] for kind in ("writes", "ballots", "reads", "operator"))
    assert outcomes["Fails"]
    assert outcomes["CancelledError"]


def add_draft(wallet: bytes, conn: Connection) -> None:
    conn.execute(text(_DRAFT), {"wallet": wallet})


async def traffic(shared: Database) -> tuple[Counter[str], list[tuple[str, set[bytes]]]]:
    """Return how many requests ended how, and those that saw what is not theirs."""
    for wallet in WALLETS:
        await shared.write(wallet, partial(add_draft, wallet))
    dice = random.Random(7)
    outcomes: Counter[str] = Counter()
    foreign: list[tuple[str, set[bytes]]] = []

    async def request(kind: str, wallet: bytes, seconds: float) -> None:
        def work(conn: Connection) -> set[bytes]:
            found = seen(conn, seconds)
            if kind == "fails":
                raise Fails
            return found

        may_see = {wallet}
        if kind in ("ballots", "reads"):
            # The ballots' transaction acts for no wallet, on the connections of the writes.
            run = shared.cast if kind == "ballots" else shared.read
            found, may_see = await run(work), set()
        elif kind == "operator":
            found = await shared.write_as_operator(wallet, work)
        else:
            found = await shared.write(wallet, work)
        outcomes[kind] += 1
        if found != may_see:
            foreign.append((kind, found))

    async def user() -> None:
        for _ in range(REQUESTS // AT_ONCE):
            kind = dice.choice(
                ("writes", "writes", "writes", "ballots", "reads", "operator", "fails")
            )
            running = asyncio.ensure_future(
                request(kind, dice.choice(WALLETS), dice.choice((0.0, 0.0, 0.002)))
            )
            if dice.random() < 0.3:
                await asyncio.sleep(dice.choice((0.0, 0.001, 0.004)))
                running.cancel()
            try:
                await running
            except (Fails, DatabaseBusy, asyncio.CancelledError) as ended:
                outcomes[type(ended).__name__] += 1

    await asyncio.gather(*(user() for _ in range(AT_ONCE)))
    return outcomes, foreign
