"""The lists of a market by cursor, and a walk through the list of markets while it grows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, insert, text, update

from tests.api.seed import CREATED, SOL, market, trade, wallet
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import community
from zmart_pipelines.store.tables import market as tables

Client = TestClient[Litestar]
ONE = b"\x01" * 32
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WALKED, INSERTED, UPDATED = 10_000, 1_000, 1_000


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


def walk(
    client: Client,
    url: str,
    member: str,
    limit: int = 2,
    headers: dict[str, str] | None = None,
) -> list[Any]:
    """The rows of all pages, along the ``Link`` headers."""
    rows: list[Any] = []
    link: str | None = f"<{url}{'&' if '?' in url else '?'}limit={limit}>"
    while link is not None:
        answer = client.get(link.split(">")[0].removeprefix("<"), headers=headers)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert len(body[member]) <= limit
        rows += body[member]
        link = answer.headers.get("link")
        assert (body["next"] is None) == (link is None)
    return rows


def test_trades_of_one_slot_without_their_index_are_all_listed(
    client: Client, ledger: Engine
) -> None:
    """Three transactions of a slot whose index no node has reported, and two others."""
    with ledger.begin() as conn:
        market(conn, ONE)
        for number in range(1, 6):
            same = {"slot": 7, "index_in_block": -1} if number < 4 else {}
            trade(conn, ONE, wallet(1), number, **same)
    url = f"/api/markets/{ONE.hex()}/trades"
    for order in ("asc", "desc"):
        whole = client.get(f"{url}?order={order}").json()["trades"]
        assert len({row["id"] for row in whole}) == 5
        assert walk(client, f"{url}?order={order}", "trades") == whole
    cursor = client.get(f"{url}?limit=1").json()["next"]
    assert client.get(f"{url}?order=asc&cursor={cursor}").status_code == 400


def test_votes_and_comments_of_one_moment_are_all_listed(
    client: Client, ledger: Engine, owner: Engine
) -> None:
    users = [bytes(wallet(number).pubkey()) for number in range(1, 6)]
    with ledger.begin() as conn:
        market(conn, ONE, state=0)
        for number, user in enumerate(users):
            conn.execute(
                insert(tables.chain_votes).values(
                    market_id=ONE,
                    kind="proposal",
                    wallet=user,
                    choice=True,
                    voted_at=CREATED + number // 3,
                    signature=bytes(64),
                    slot=1,
                    commitment="confirmed",
                )
            )
    with owner.begin() as conn:
        for number, user in enumerate(users):
            conn.execute(insert(community.users).values(wallet=user))
            conn.execute(
                insert(community.discussions).values(
                    id=UUID(int=number),
                    market_id=ONE,
                    wallet=user,
                    content=f"comment {number}",
                    created_at=NOW + timedelta(microseconds=number // 2),
                )
            )
    for url, member in (
        (f"/api/markets/{ONE.hex()}/votes", "votes"),
        (f"/api/discussions/{ONE.hex()}", "discussions"),
    ):
        body = client.get(url).json()
        whole = body[member]
        assert len(whole) == body["count"] == 5
        assert body["next"] is None
        assert walk(client, url, member) == whole
        assert client.get(f"{url}?cursor=x").status_code == 400
    comments = client.get(f"/api/discussions/{ONE.hex()}").json()["discussions"]
    assert [row["content"] for row in comments] == [
        f"comment {number}" for number in (4, 3, 2, 1, 0)
    ]


def ids(conn: Any, first: int, number: int, state: int) -> None:
    """Insert markets ``first``, ``first + 1`` and so on: 10 of each second, with volumes."""
    conn.execute(
        text(
            "INSERT INTO market.markets (market_id, address, creator, state, b_parameter,"
            " initial_liquidity, current_liquidity, shares_yes, shares_no, total_volume,"
            " created_at, approved_at, activated_at, resolution_proposed_at, resolved_at,"
            " finalized_at,"
            " dispute_initiated_at, accumulated_resolver_fees, accumulated_lp_fees, proposal_likes,"
            " proposal_dislikes, dispute_agree, dispute_disagree, was_disputed, price_yes,"
            " trades_count, as_of_slot, as_of_index, as_of_log, commitment)"
            " SELECT sha256(int4send(n)), sha256(int8send(n)), sha256(int4send(n)), :state, 1,"
            " 1, 1, 1, 1, (n * 7919) % 5000, :created + (n * 31) % 1100, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
            " 0, 0, 0, false, 1, 0, 1, 0, 0, 'confirmed'"
            " FROM generate_series(CAST(:first AS int), :last) AS n"
        ),
        {"first": first, "last": first + number - 1, "state": state, "created": CREATED},
    )


@pytest.mark.parametrize("sort", ["newest", "volume"])
def test_walk_of_ten_thousand_during_inserts_misses_and_repeats_none(
    client: Client, ledger: Engine, owner: Engine, sort: str
) -> None:
    """Markets are inserted before and behind the walk's place; those of the walk are all met once.

    With ``volume`` also the volumes of others change. A market whose own volume changes may be
    met at either place or at both, which only ids can tell apart: the walked ones keep theirs.
    """
    dice = random.Random(sort)
    with ledger.begin() as conn:
        ids(conn, 0, WALKED, 2)
        ids(conn, 2 * WALKED, UPDATED, 2)
        fixed = set(
            conn.execute(
                text("SELECT encode(sha256(int4send(n)), 'hex') FROM generate_series(0, :n) AS n"),
                {"n": WALKED - 1},
            ).scalars()
        )
    with owner.begin() as conn:
        conn.execute(text("ANALYZE market.markets, market.listings"))
    met: list[str] = []
    inserted = 0
    cursor, url = None, f"/api/markets?sort={sort}&limit=200"
    while True:
        answer = client.get(url if cursor is None else f"{url}&cursor={cursor}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        met += [row["id"] for row in body["markets"]]
        cursor = body["next"]
        if cursor is None:
            break
        with ledger.begin() as conn:
            if inserted < INSERTED:
                ids(conn, WALKED + inserted, 25, 2)
                inserted += 25
            if sort == "volume":
                conn.execute(
                    update(tables.markets)
                    .where(
                        tables.markets.c.market_id
                        == text("sha256(int4send(:moved))").bindparams(
                            moved=2 * WALKED + dice.randrange(UPDATED)
                        )
                    )
                    .values(total_volume=dice.randrange(5000) * SOL)
                )
    assert inserted == INSERTED
    walked = [one for one in met if one in fixed]
    assert len(walked) == len(set(walked)) == WALKED
    if sort == "newest":
        assert len(met) == len(set(met))
