"""Wallets over REST, on the rows of recorded chains, against the accounts of those chains."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.pubkey import Pubkey
from sqlalchemy import Engine

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address, history
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import Pool, price_yes
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import leaderboards

Client = TestClient[Litestar]


def read(client: Client, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ingest(ledger: Engine, chain: Recorder) -> None:
    ingest_committed(
        ledger,
        chain.transactions,
        source=Source.CONFIRMED_POLL,
        commitment="confirmed",
        program=PROGRAM,
    )


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def walk(client: Client, url: str, member: str | None) -> list[Any]:
    """Every row of a list, by its ``Link`` headers."""
    rows: list[Any] = []
    following: str | None = url
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        rows += body if member is None else body[member]
        link = answer.headers.get("Link")
        following = None if link is None else link[1 : link.index(">")]
        if member is not None:
            assert (body["next"] is None) == (link is None)
    return rows


def trading_market(chain: Recorder, number: int, **over: Any) -> bytes:
    market_id = chain.create(number, **over)
    chain.open(market_id)
    return market_id


def finish(chain: Recorder, market_id: bytes, outcome: bool) -> Pubkey:
    """Resolve and finalize a market; return its resolver."""
    resolver = chain.users[5]
    chain.advance()
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=resolver,
            market=address(market_id),
            outcome=outcome,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    chain.advance(1000)
    chain.send(
        ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=address(market_id))
    )
    chain.advance()
    return resolver


def claims_by_the_program(chain: Recorder, user: Pubkey) -> dict[str, tuple[int, str | None]]:
    """What claiming each position now pays, or the error with which the program refuses it."""
    found: dict[str, tuple[int, str | None]] = {}
    for market_id, market in chain.markets().items():
        if bytes(user) not in chain.positions(market_id):
            continue
        before = chain.model.cells
        chain.model.cells = {one: copy.copy(cell) for one, cell in before.items()}
        resolver = Pubkey(market.resolver)
        call = ix.claim_winnings(PROGRAM, user=user, market=address(market_id), resolver=resolver)
        result = chain.model.process(call, user, chain.now)
        chain.model.cells = before
        if result.error is None:
            (event,) = result.events
            found[market_id.hex()] = event.amount, None  # type: ignore[union-attr]  # a claim
        else:
            assert isinstance(result.error, int)
            found[market_id.hex()] = 0, ProgramError(result.error).name
    return found


def rich_chain() -> Recorder:
    """Markets that pay, that cannot pay, that were emptied, that are open; some claims made."""
    chain = Recorder()
    paying = trading_market(chain, 1)
    unpayable = trading_market(chain, 2, liquidity=500 * SOL)
    emptied = trading_market(chain, 3)
    still_open = trading_market(chain, 4)
    for number, market_id in enumerate((paying, unpayable, emptied, still_open)):
        for place, user in enumerate(chain.users[:4]):
            chain.buy(market_id, user, (place + number) % 2 == 0, (place + 1) * SOL)
            chain.advance(1800)
    chain.buy(still_open, chain.users[0], False, SOL // 3)
    for market_id in (paying, unpayable, emptied):
        finish(chain, market_id, True)
    creator = Pubkey(chain.market(emptied).creator)
    chain.send(ix.withdraw_liquidity(PROGRAM, creator=creator, market=address(emptied)))
    chain.advance()
    chain.send(
        ix.claim_winnings(
            PROGRAM, user=chain.users[0], market=address(paying), resolver=chain.users[5]
        )
    )
    chain.advance()
    return chain


@pytest.mark.parametrize("refreshed", [False, True])
def test_claimable_is_what_the_program_pays(
    client: Client, ledger: Engine, pipelines: Engine, refreshed: bool
) -> None:
    chain = rich_chain()
    ingest(ledger, chain)
    if refreshed:
        refresh(pipelines)
    seen: set[str | None] = set()
    for user in chain.users[:4]:
        expected = claims_by_the_program(chain, user)
        rows = read(client, f"/api/positions/{user}")
        assert {row["market_id"] for row in rows} == set(expected)
        for row in rows:
            amount, refusal = expected[row["market_id"]]
            assert (row["claimable"], row["claim_refusal"]) == (amount, refusal)
            seen.add(refusal)
        due = read(client, f"/api/users/{user}/claims")
        assert {one["market_id"]: one["claimable"] for one in due["claims"]} == {
            row["market_id"]: row["claimable"] for row in rows if row["status"] == "claimable"
        }
    assert seen == {
        *(None, "InvalidMarketState", "AlreadyClaimed", "NoWinnings", "InsufficientLiquidity")
    }


@pytest.mark.parametrize("seed", [3, 11])
def test_random_histories_agree_with_the_program(client: Client, ledger: Engine, seed: int) -> None:
    chain = history(seed, 200)
    ingest(ledger, chain)
    for user in chain.users:
        expected = claims_by_the_program(chain, user)
        rows = read(client, f"/api/positions/{user}")
        assert {
            row["market_id"]: (row["claimable"], row["claim_refusal"]) for row in rows
        } == expected


def test_results_add_up_and_history_ends_with_them(
    client: Client, ledger: Engine, pipelines: Engine
) -> None:
    chain = rich_chain()
    ingest(ledger, chain)
    for _ in range(2):
        for user in chain.users[:4]:
            accounts = [
                account
                for market_id in chain.markets()
                if (account := chain.positions(market_id).get(bytes(user)))
            ]
            stats = read(client, f"/api/users/{user}")["stats"]
            assert stats["invested"] == sum(one.total_invested for one in accounts)
            assert stats["claimed"] == sum(one.claimed_amount for one in accounts)
            total = stats["claimed"] + stats["proceeds"] + stats["open_value"] - stats["invested"]
            assert stats["realised_pnl"] + stats["unrealised_pnl"] == total
            rows = read(client, f"/api/positions/{user}")
            for name in ("realised_pnl", "unrealised_pnl", "open_value", "open_cost"):
                assert sum(row[name] for row in rows) == stats[name], name
            hourly = read(client, f"/api/users/{user}/pnl?interval=1h&limit=1000")
            last = hourly["points"][-1]
            assert last["timestamp"] == hourly["as_of"]
            for name in ("invested", "claimed", "open_value", "open_cost", "realised_pnl"):
                assert last[name] == stats[name], name
            assert last["pnl"] == total
            value = read(client, f"/api/users/{user}/portfolio?interval=1d")["points"][-1]
            assert value["value"] == stats["open_value"]
            assert value["paid_in"] == stats["invested"]
            assert value["paid_out"] == stats["claimed"] + stats["proceeds"]
        refresh(pipelines)


def test_history_shows_the_pools_of_then(client: Client, ledger: Engine) -> None:
    """Each hour's value is what the position was worth with only the trades before it."""
    chain = Recorder()
    market_id = trading_market(chain, 1)
    user = chain.users[1]
    snapshots: dict[int, tuple[int, int]] = {}
    for number in range(6):
        chain.buy(market_id, user if number % 2 == 0 else chain.users[2], number < 3, SOL)
        account, market = chain.positions(market_id)[bytes(user)], chain.market(market_id)
        assert chain.transactions[-1].error is None
        price = price_yes(Pool.of(market))
        value = (
            account.shares_yes * market.current_liquidity // market.shares_yes * price
            + account.shares_no * market.current_liquidity // market.shares_no * (10**9 - price)
        ) // 10**9
        snapshots[chain.now // 3600 + 1] = value, account.total_invested
        chain.advance(3600)
    ingest(ledger, chain)
    first, last = min(snapshots), max(snapshots)
    url = f"/api/users/{user}/portfolio?interval=1h&from={first * 3600}&to={last * 3600}"
    points = read(client, url)["points"]
    assert [(one["value"], one["paid_in"]) for one in points] == list(snapshots.values())


def test_positions_are_filtered_and_paged(client: Client, ledger: Engine) -> None:
    chain = rich_chain()
    ingest(ledger, chain)
    user = chain.users[0]
    rows = read(client, f"/api/positions/{user}")
    assert len(rows) == 4
    by_status: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        by_status[row["status"]].add(row["market_id"])
    assert set(by_status) == {"open", "closed", "claimable"} - (
        set() if "claimable" in by_status else {"claimable"}
    )
    for status in ("open", "closed", "claimable"):
        answer = client.get(f"/api/users/{user}/positions?status={status}")
        assert {row["market_id"] for row in answer.json()} == by_status[status]
        assert answer.headers["X-Total-Count"] == str(len(by_status[status]))
    assert walk(client, f"/api/positions/{user}?limit=1", None) == rows
    active = read(client, f"/api/users/{user}/positions?state=ACTIVE")
    assert {row["state"] for row in active} == {MarketState.ACTIVE.value}
    one = rows[0]["market_id"]
    single = read(client, f"/api/users/{user}/positions/{one}")
    assert single == next(
        row for row in read(client, f"/api/users/{user}/positions") if row["market_id"] == one
    )
    assert client.get(f"/api/users/{user}/positions/{'ee' * 32}").status_code == 404
    without_position = chain.users[5]
    assert client.get(f"/api/users/{without_position}/positions/{one}").status_code == 404


def test_lists_of_a_wallet_are_walked_by_cursor(client: Client, ledger: Engine) -> None:
    chain = rich_chain()
    ingest(ledger, chain)
    user = chain.users[0]
    whole = read(client, f"/api/users/{user}/trades?limit=200")
    assert whole["total"] == whole["count"] == 5
    assert walk(client, f"/api/users/{user}/trades?limit=2", "trades") == whole["trades"]
    done = read(client, f"/api/users/{user}/claims?status=done")
    (paid,) = done["claims"]
    assert paid["status"] == "done"
    assert paid["amount"] == done["claimed"] > 0
    creator = Pubkey(next(iter(chain.markets().values())).creator)
    created = walk(client, f"/api/users/{creator}/markets?limit=1", "markets")
    assert {row["id"] for row in created} == {
        market_id.hex()
        for market_id, market in chain.markets().items()
        if market.creator == bytes(creator)
    }
    resolved = read(client, f"/api/users/{chain.users[5]}/markets?role=resolver")
    assert resolved["count"] == 3
    assert read(client, f"/api/users/{user}/markets?role=dispute_initiator")["count"] == 0
    assert read(client, f"/api/users/{user}/discussions")["discussions"] == []


def test_count_of_a_long_leaderboard_is_capped(
    client: Client, ledger: Engine, pipelines: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = rich_chain()
    ingest(ledger, chain)
    refresh(pipelines, now=chain.now)
    monkeypatch.setattr(leaderboards, "COUNT_LIMIT", 3)
    board = read(client, "/api/leaderboards?period=all")
    assert (board["count"], board["total"], board["count_capped"]) == (4, 3, True)


def test_leaderboards_rank_wallets(client: Client, ledger: Engine, pipelines: Engine) -> None:
    chain = rich_chain()
    ingest(ledger, chain)
    empty = read(client, "/api/leaderboards")
    assert (empty["leaderboard"], empty["as_of"]) == ([], None)
    refresh(pipelines, now=chain.now)
    volumes: defaultdict[str, int] = defaultdict(int)
    for market_id in chain.markets():
        for holder, account in chain.positions(market_id).items():
            volumes[str(Pubkey(holder))] += account.total_invested
    for period in ("day", "week", "all"):
        board = read(client, f"/api/leaderboards?by=volume&period={period}")
        assert board["as_of"].endswith("Z")
        assert {row["wallet"]: row["volume"] for row in board["leaderboard"]} == volumes
        assert (board["total"], board["count_capped"]) == (len(volumes), False)
        ordered = [row["volume"] for row in board["leaderboard"]]
        assert ordered == sorted(volumes.values(), reverse=True)
    for by in ("volume", "profit", "resolved_right"):
        rows = read(client, f"/api/leaderboards?by={by}&period=all")["leaderboard"]
        assert walk(client, f"/api/leaderboards?by={by}&period=all&limit=1", "leaderboard") == rows
        values = [
            (row["resolved_right"], row["resolved_right"] - row["resolved"])
            if by == "resolved_right"
            else row[by]
            for row in rows
        ]
        assert [row["rank"] for row in rows] == [
            1 + sum(other > value for other in values) for value in values
        ]
    profits = {row["wallet"]: row["profit"] for row in rows}
    for user in chain.users[:4]:
        stats = read(client, f"/api/users/{user}")["stats"]
        assert profits[str(user)] == stats["realised_pnl"]
        right = sum(
            (held.shares_yes > held.shares_no) is market.final_outcome
            for market_id, market in chain.markets().items()
            if market.state is MarketState.FINALIZED
            and (held := chain.positions(market_id).get(bytes(user)))
        )
        row = next(row for row in rows if row["wallet"] == str(user))
        assert (row["resolved"], row["resolved_right"]) == (3, right)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("positions?status=lost", "status"),
        ("positions?state=9", "state"),
        ("positions?cursor=x", "cursor"),
        ("trades?cursor=x&offset=1", "cursor"),
        ("votes?type=other", "type"),
        ("claims?status=all", "status"),
        ("markets?role=owner", "role"),
        ("pnl?interval=1m", "interval"),
        ("pnl?from=yesterday", "from"),
        ("portfolio?limit=0", "limit"),
        ("portfolio?to=never", "to"),
    ],
)
def test_wrong_parameters_are_named(client: Client, path: str, field: str) -> None:
    answer = client.get(f"/api/users/{Recorder().users[0]}/{path}")
    assert answer.status_code == 400, answer.text
    assert [one["field"] for one in answer.json()["details"]] == [field]


def test_wallet_without_activity_has_an_empty_history(client: Client) -> None:
    user = Recorder().users[0]
    body = read(client, f"/api/users/{user}/pnl")
    assert [point["pnl"] for point in body["points"]] == [0]
    assert body["as_of"] >= time.strftime("%Y-%m-%d", time.gmtime(time.time() - 60))
