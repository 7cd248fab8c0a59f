"""States of the past: at any slot and time they are what the chain's accounts were then."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, select

from api.app import create_app
from tests.api.recorded_ledger import store
from tests.ledger.recorded_rpc import PROGRAM, WINDOW, Recorder, identity
from zmart_pipelines.client_schemas.formats import chain_time
from zmart_pipelines.ledger.ingest.orphaning import orphan_readings
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.program.accounts import MarketAccount, MarketState, UserPosition
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain as tables

Client = TestClient[Litestar]
ONE = identity(1)


class Snapshot(msgspec.Struct, frozen=True):
    """The chain's accounts after a slot.

    Attributes:
        now: The chain's seconds in that slot.
        positions: By market id and user.
    """

    slot: int
    now: int
    markets: dict[bytes, MarketAccount]
    positions: dict[tuple[bytes, bytes], UserPosition]


def snapshot(chain: Recorder) -> Snapshot:
    return Snapshot(
        slot=chain.slot,
        now=chain.now,
        markets=chain.markets(),
        positions={
            (market_id, user): account
            for market_id in chain.market_ids
            for user, account in chain.positions(market_id).items()
        },
    )


def recorded_history(seed: int, steps: int) -> tuple[Recorder, list[Snapshot]]:
    """Return a random history with the accounts as they were after each slot with transactions."""
    dice = random.Random(seed)
    chain = Recorder(f"past {seed}")
    found: dict[int, Snapshot] = {}
    for _ in range(steps):
        chain.random_step(dice)
        if chain.transactions[-1].slot == chain.slot:
            found[chain.slot] = snapshot(chain)
        else:  # a creation ends its slot
            found[chain.transactions[-1].slot] = msgspec.structs.replace(
                snapshot(chain), slot=chain.transactions[-1].slot, now=chain.now - 1
            )
    return chain, list(found.values())


def read(client: Client, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_market(shown: dict[str, Any], account: MarketAccount) -> None:
    exact = shown["exact"]
    assert shown["state_code"] == account.state
    assert int(exact["current_liquidity"]) == account.current_liquidity
    assert int(exact["shares_yes"]) == account.shares_yes
    assert int(exact["shares_no"]) == account.shares_no
    assert int(exact["total_volume"]) == account.total_volume
    assert int(exact["accumulated_lp_fees"]) == account.accumulated_lp_fees
    assert int(exact["accumulated_resolver_fees"]) == account.accumulated_resolver_fees
    assert shown["proposal_likes"] == account.proposal_likes
    assert shown["dispute_agree"] == account.dispute_agree
    assert shown["was_disputed"] == account.was_disputed
    assert shown["proposed_outcome"] == account.proposed_outcome
    assert shown["final_outcome"] == account.final_outcome
    assert shown["activated_at"] == chain_time(account.activated_at)
    assert shown["finalized_at"] == chain_time(account.finalized_at)


@pytest.mark.parametrize("seed", [1, 2])
def test_market_at_each_slot_is_what_its_account_was(
    client: Client, ledger: Engine, seed: int
) -> None:
    chain, snapshots = recorded_history(seed, 90)
    # Reported first, with a fork that is dropped later: every third transaction was seen one slot
    # early and in another order, which the surviving fork corrects.
    forked = [
        msgspec.structs.replace(one, slot=one.slot - 1, index_in_block=9 - number % 3)
        for number, one in enumerate(chain.transactions)
        if number % 3 == 1
    ]
    store(ledger, forked, "reported")
    for start in range(0, len(chain.transactions), 7):
        store(ledger, chain.transactions[start : start + 7], "confirmed")
    states = set()
    for taken in snapshots:
        for market_id, account in taken.markets.items():
            shown = read(client, f"/api/markets/{market_id.hex()}?at={taken.slot}")
            assert_market(shown, account)
            assert shown["at"]["slot"] == taken.slot
            assert shown["as_of_slot"] <= taken.slot
            states.add(account.state)
        for market_id in set(chain.market_ids) - set(taken.markets):
            answer = client.get(f"/api/markets/{market_id.hex()}?at={taken.slot}")
            assert (answer.status_code, answer.json()["code"]) == (404, "market_not_found")
    assert len(states) >= 4, "the history passes through several states"


def test_time_means_the_last_slot_that_is_not_later(client: Client, ledger: Engine) -> None:
    chain = Recorder("times")
    market_id = chain.create(1)
    chain.open(market_id)
    taken = []
    for number in range(4):
        chain.buy(market_id, chain.users[number], number % 2 == 0)
        taken.append((chain.slot, chain.now, chain.market(market_id)))
        # Two slots of one second, and a gap of several seconds.
        chain.advance(0 if number % 2 == 0 else 5)
    store(ledger, chain.transactions, "finalized")
    for slot, now, account in (taken[1], taken[3]):
        for moment in (f"{chain_time(now)}", f"{chain_time(now + 2)}"):
            shown = read(client, f"/api/markets/{market_id.hex()}?at={moment}")
            assert shown["at"] == {"slot": slot, "block_time": chain_time(now)}
            assert_market(shown, account)
    assert taken[0][1] == taken[1][1], "two slots have one block time"
    shown = read(client, f"/api/markets/{market_id.hex()}?at={taken[0][0]}")
    assert_market(shown, taken[0][2])


def test_point_in_the_future_or_before_the_market_is_refused(
    client: Client, ledger: Engine
) -> None:
    chain = Recorder("edges")
    chain.advance(WINDOW)
    market_id = chain.create(1)
    store(ledger, chain.transactions, "finalized")
    url = f"/api/markets/{market_id.hex()}"
    newest = chain.transactions[-1].slot
    assert read(client, f"{url}?at={newest}")["state"] == MarketState.PROPOSED.name
    for at in (newest + 1, 2**63, "2100-01-01T00:00:00Z", "yesterday", "2026-11-20", -1, 1.5):
        answer = client.get(f"{url}?at={at}")
        assert answer.status_code == 400, (at, answer.text)
        assert answer.json()["details"][0]["field"] == "at"
    for at in (newest - 1, 0, "2001-01-01T00:00:00Z"):
        answer = client.get(f"{url}?at={at}")
        assert (answer.status_code, answer.json()["code"]) == (404, "market_not_found")
    assert client.get(f"/api/markets/{'ee' * 32}?at={newest}").status_code == 404


def test_state_that_depends_on_too_many_events_is_refused(
    api_settings: Settings, ledger: Engine
) -> None:
    chain = Recorder("many")
    market_id = chain.create(1)
    chain.open(market_id)
    for _ in range(4):
        chain.buy(market_id, chain.users[1])
        chain.advance()
    store(ledger, chain.transactions, "finalized")
    slots = [one.slot for one in chain.transactions]
    # Creation, three events of the opening, and the purchases up to the slot.
    limited = api_settings.model_copy(update={"api_past_events": 6})
    with TestClient(create_app(limited), raise_server_exceptions=False) as client:
        url = f"/api/markets/{market_id.hex()}"
        assert read(client, f"{url}?at={slots[-3]}")["trades_count"] == 2
        answer = client.get(f"{url}?at={slots[-2]}")
        assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable")
        # Nothing happened since: no event is read.
        assert read(client, f"{url}?at={slots[-1]}")["trades_count"] == 4


# What is not of the chain: the clock of this machine, and the running counts of an open vote, which
# contain signed ballots.
NOT_OF_THE_CHAIN = {
    MarketState.PROPOSED.name: {"updated_at", "proposal_likes", "proposal_dislikes"},
    MarketState.DISPUTED.name: {"updated_at", "dispute_agree", "dispute_disagree"},
}


def answers(client: Client, chain: Recorder, query: str) -> dict[str, Any]:
    """Return every market and every wallet's positions as the API shows them."""
    found: dict[str, Any] = {}
    for market_id in chain.market_ids:
        answer = client.get(f"/api/markets/{market_id.hex()}{query}")
        if answer.status_code == 200:
            shown = answer.json()
            shown.pop("at", None)
            for name in NOT_OF_THE_CHAIN.get(shown["state"], {"updated_at"}):
                del shown[name]
            found[market_id.hex()] = shown
    for user in chain.users:
        answer = client.get(f"/api/users/{user}/positions{query}")
        assert answer.status_code == 200, answer.text
        found[str(user)] = (answer.json(), answer.headers["X-Total-Count"])
    return found


def drop_readings(ledger: Engine, signature: bytes) -> None:
    """Orphan what is stored of a transaction, as the reader that finds the fork does."""
    table = tables.transactions
    with ledger.connect() as conn:
        keys = conn.execute(
            select(table.c.signature, table.c.digest).where(table.c.signature == signature)
        ).all()
    found = [(key.signature, key.digest) for key in keys]
    dropped = run_in_transaction(ledger, lambda conn: orphan_readings(conn, found, PROGRAM))
    assert dropped.orphaned == 1


def test_past_is_what_the_api_showed_when_it_was_the_present(
    client: Client, ledger: Engine
) -> None:
    dice = random.Random(11)
    chain = Recorder("recorded")
    for _ in range(70):
        chain.random_step(dice)
    by_slot: dict[int, list[Any]] = {}
    for one in chain.transactions:
        by_slot.setdefault(one.slot, []).append(one)
    shown: dict[int, dict[str, Any]] = {}
    for slot, transactions in by_slot.items():
        if dice.random() < 0.5:
            # A fork: one of the transactions was confirmed there, in another place, and dropped.
            lost = dice.choice(transactions)
            elsewhere = msgspec.structs.replace(lost, slot=slot - 1, index_in_block=99)
            store(ledger, [elsewhere], "confirmed")
            drop_readings(ledger, lost.signature)
        store(ledger, transactions, "confirmed")
        if dice.random() < 0.4:
            shown[slot] = answers(client, chain, "")
    assert len(shown) > 8
    for slot, present in shown.items():
        assert answers(client, chain, f"?at={slot}") == present, slot


def test_positions_of_the_past_are_paged_and_not_filtered(client: Client, ledger: Engine) -> None:
    chain = Recorder("pages")
    trader = chain.users[1]
    markets = [chain.create(number) for number in range(1, 6)]
    for market_id in markets:
        chain.open(market_id)
    for market_id in (*markets, markets[0]):
        chain.buy(market_id, trader)
        chain.advance()
    store(ledger, chain.transactions, "finalized")
    slot = chain.transactions[-1].slot
    url = f"/api/users/{trader}/positions?at={slot - 1}"
    whole = read(client, url)
    assert [row["market_id"] for row in whole] == [one.hex() for one in reversed(markets)]
    rows: list[Any] = []
    following: str | None = f"{url}&limit=2"
    while following is not None:
        answer = client.get(following)
        rows += answer.json()
        assert answer.headers["X-Total-Count"] == "5"
        following = answer.links.get("next", {}).get("url")
    assert rows == whole
    assert read(client, f"/api/users/{trader}/positions?at={slot}")[0]["market_id"] == (
        markets[0].hex()
    )
    first_purchase = chain.transactions[-6].slot
    assert read(client, f"/api/users/{trader}/positions?at={first_purchase - 1}") == []
    refused = client.get(f"{url}&status=open")
    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "status")
    single = f"/api/users/{trader}/positions/{markets[0].hex()}"
    before = read(client, f"{single}?at={slot - 1}")
    assert before.pop("at")["slot"] == slot - 1
    assert before == whole[-1]
    assert client.get(f"{single}?at={first_purchase - 1}").status_code == 404
