"""Frames of a wallet's trades, positions and claims equal what REST returns at that moment."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Engine, select

from tests.ledger.conftest import Feed
from tests.ledger.recorded_rpc import PROGRAM, WINDOW, Recorder, address, history
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.client_schemas.claims import due_claim, paid_claim
from zmart_pipelines.client_schemas.positions import position
from zmart_pipelines.client_schemas.trading import trade
from zmart_pipelines.ledger.ingest.orphaning import orphan_readings
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import positions, wallet_activity
from zmart_pipelines.store.stream import StoredFrame, wallet_channel
from zmart_pipelines.store.tables import chain as tables

Told = dict[str, Any]
# Fields of a position that others' acts do not change.
OWN = ("shares_yes", "shares_no", "total_invested", "trades_count", "has_claimed", "claimed_amount")


def shown(value: object) -> Told:
    """As it is in JSON."""
    found: Told = msgspec.json.decode(msgspec.json.encode(value))
    return found


def rest_positions(conn: Connection, wallet: bytes) -> dict[str, Told]:
    """What REST shows of a wallet's positions, by market."""
    held = wallet_reads.with_results(conn, wallet, positions.all_of_user(conn, wallet))
    return {row.market_id.hex(): shown(position(row, result)) for row, result in held}


def rest_due(conn: Connection, wallet: bytes) -> dict[str, Told]:
    """What REST shows of a wallet's claims that are due, by market."""
    held = positions.of_user(conn, wallet, status="claimable", limit=10_000)
    return {
        row.market_id.hex(): shown(due_claim(row, result.claim_refusal))
        for row, result in wallet_reads.with_results(conn, wallet, held)
    }


class Follower:
    """Applies the frames of wallets' channels, as a client does."""

    def __init__(self, db: Engine, wallets: list[bytes]) -> None:
        self.db = db
        self.wallets = wallets
        self.position = 0
        self.held: defaultdict[bytes, dict[str, Told]] = defaultdict(dict)
        self.due: defaultdict[bytes, set[str]] = defaultdict(set)
        self.paid: defaultdict[bytes, list[Told]] = defaultdict(list)
        self.trades: defaultdict[bytes, list[Told]] = defaultdict(list)

    def read(self, conn: Connection) -> dict[bytes, list[StoredFrame]]:
        """Return the frames since the last call, by wallet, and apply them."""
        frames = stream.read_after(conn, self.position, 100_000)
        self.position = frames[-1].position if frames else self.position
        channels = {wallet_channel(wallet): wallet for wallet in self.wallets}
        found: defaultdict[bytes, list[StoredFrame]] = defaultdict(list)
        for frame in frames:
            wallet = channels.get(frame.channel)
            if wallet is not None:
                found[wallet].append(frame)
                self._apply(wallet, frame)
        return found

    def _apply(self, wallet: bytes, frame: StoredFrame) -> None:
        data = frame.payload
        match frame.type:
            case "trade":
                self.trades[wallet].append(data)
            case "position":
                self._forget(wallet, set(data.get("correction", {}).get("orphaned", ())))
                self.held[wallet].pop(data["market_id"], None)
                self.due[wallet].discard(data["market_id"])
                if data["action"] == "updated":
                    self.held[wallet][data["market_id"]] = data["position"]
                    if data["position"]["status"] == "claimable":
                        self.due[wallet].add(data["market_id"])
            case "claim" if data["status"] == "due":
                self.due[wallet].add(data["market_id"])
            case "claim":
                self.due[wallet].discard(data["market_id"])
                self.paid[wallet].append(data)
            case other:
                pytest.fail(f"a frame of type {other}")

    def _forget(self, wallet: bytes, orphaned: set[str]) -> None:
        for known in (self.trades, self.paid):
            known[wallet] = [row for row in known[wallet] if row["tx_signature"] not in orphaned]

    def check(self) -> None:
        """Read and apply the new frames, and compare everything with REST."""
        with self.db.connect() as conn:
            new = self.read(conn)
            for wallet in self.wallets:
                now = rest_positions(conn, wallet)
                last = {
                    frame.payload["market_id"]: frame.payload["position"]
                    for frame in new.get(wallet, ())
                    if frame.type == "position"
                }
                assert {key: now.get(key) for key in last} == last
                held = self.held[wallet]
                assert {key: [row[name] for name in OWN] for key, row in held.items()} == {
                    key: [row[name] for name in OWN] for key, row in now.items()
                }
                due = rest_due(conn, wallet)
                assert self.due[wallet] == due.keys()
                claims = [f.payload for f in new.get(wallet, ()) if f.type == "claim"]
                for claim in claims:
                    if claim["status"] == "due":
                        assert claim == due[claim["market_id"]]
                self._compare_rows(conn, wallet)

    def _compare_rows(self, conn: Connection, wallet: bytes) -> None:
        trades = wallet_activity.trades_of_wallet(conn, wallet, after=None, limit=10_000)
        rows = {shown(trade(row))["id"]: shown(trade(row)) for row in trades}
        received = {row["id"]: {name: row[name] for name in _TRADE} for row in self.trades[wallet]}
        assert received == {key: {name: row[name] for name in _TRADE} for key, row in rows.items()}
        claims = wallet_activity.claims_of_wallet(conn, wallet, after=None, limit=10_000)
        assert _sorted(self.paid[wallet]) == _sorted([shown(paid_claim(row)) for row in claims])


_TRADE = ("market_id", "user_wallet", "outcome", "shares", "cost", "price_yes", "slot", "exact")


def _sorted(rows: list[Told]) -> list[Told]:
    """In one order, without the commitment, which rises later."""
    kept = [{name: row[name] for name in row if name != "commitment"} for row in rows]
    return sorted(kept, key=lambda row: (row["tx_signature"], row["market_id"]))


def follower(db: Engine, chain: Recorder) -> Follower:
    return Follower(db, [bytes(user) for user in chain.users])


# Histories with claims that were paid.
@pytest.mark.parametrize("seed", range(3))
def test_wallets_are_told_what_rest_shows(db: Engine, feed: Feed, seed: int) -> None:
    chain = history(seed, 250)
    dice = random.Random(seed)
    client = follower(db, chain)
    left = list(chain.transactions)
    late: list[RawTransaction] = []
    while left:
        size = dice.choice((1, 1, 2, 10))
        batch, left = left[:size], left[size:]
        if dice.random() < 0.1:
            late += batch
            continue
        if dice.random() < 0.1:
            batch, late = late + batch, []
        feed(batch, "confirmed", Source.CONFIRMED_POLL)
        client.check()
    feed(late, "confirmed", Source.CONFIRMED_POLL)
    client.check()
    assert any(client.trades.values())
    assert any(client.paid.values())


def orphan(db: Engine, transaction: RawTransaction) -> None:
    """Let a transaction be of a fork that was dropped."""
    table = tables.transactions
    with db.connect() as conn:
        key = conn.execute(
            select(table.c.signature, table.c.digest).where(
                table.c.signature == transaction.signature
            )
        ).one()
    run_in_transaction(db, lambda conn: orphan_readings(conn, [tuple(key)], PROGRAM))


def test_orphaned_trade_ends_the_position_it_made(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    first = chain.buy(market_id, chain.users[1])
    chain.advance()
    second = chain.buy(market_id, chain.users[1], False)
    client = follower(db, chain)
    feed(chain.transactions, "confirmed", Source.CONFIRMED_POLL)
    client.check()
    wallet = bytes(chain.users[1])
    for lost, left in ((second, {market_id.hex()}), (first, set())):
        orphan(db, lost)
        client.check()
        assert client.held[wallet].keys() == left
    feed([second], "finalized", Source.FINALIZED_WINDOW)
    client.check()


def settled_market(chain: Recorder) -> bytes:
    """A market in which three wallets traded, resolved as YES and over."""
    market_id = chain.create(1)
    chain.open(market_id)
    for number, outcome in ((1, True), (2, True), (3, False)):
        chain.buy(market_id, chain.users[number], outcome)
        chain.advance()
    chain.advance(WINDOW)
    market = address(market_id)
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=chain.users[5],
            market=market,
            outcome=True,
            evidence_hash=b"Qm" + b"1" * 44,
        )
    )
    chain.advance(WINDOW + 1)
    final = chain.send(ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=market))
    assert final.error is None
    chain.advance()
    return market_id


def test_holders_are_told_of_claims_when_their_market_is_final(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = settled_market(chain)
    client = follower(db, chain)
    feed(chain.transactions[:-1], "confirmed", Source.CONFIRMED_POLL)
    client.check()
    assert not any(client.due.values())
    feed(chain.transactions[-1:], "confirmed", Source.CONFIRMED_POLL)
    client.check()
    winners = {bytes(chain.users[1]), bytes(chain.users[2])}
    assert {wallet for wallet, due in client.due.items() if due} == winners

    claimed = chain.send(
        ix.claim_winnings(
            PROGRAM, user=chain.users[1], market=address(market_id), resolver=chain.users[5]
        )
    )
    assert claimed.error is None
    feed([claimed], "confirmed", Source.CONFIRMED_POLL)
    client.check()
    assert [len(client.paid[wallet]) for wallet in sorted(winners)] != [0, 0]

    # The claim's block is dropped: it is due again.
    orphan(db, claimed)
    client.check()
    assert {wallet for wallet, due in client.due.items() if due} == winners


def test_claims_end_where_the_finalization_is_dropped(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    settled_market(chain)
    client = follower(db, chain)
    feed(chain.transactions, "confirmed", Source.CONFIRMED_POLL)
    client.check()
    assert any(client.due.values())
    orphan(db, chain.transactions[-1])
    client.check()
    assert not any(client.due.values())


def test_claims_end_where_the_liquidity_is_withdrawn(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = settled_market(chain)
    client = follower(db, chain)
    feed(chain.transactions, "confirmed", Source.CONFIRMED_POLL)
    client.check()
    withdrawn = chain.send(
        ix.withdraw_liquidity(PROGRAM, creator=chain.users[0], market=address(market_id))
    )
    assert withdrawn.error is None
    feed([withdrawn], "confirmed", Source.CONFIRMED_POLL)
    client.check()
    assert not any(client.due.values())
