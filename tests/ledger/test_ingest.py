"""Ingest into Postgres: each transaction once, in any order, false reports corrected."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest
from sqlalchemy import Connection, Engine, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.fixtures.ledger import ingest_committed
from tests.ledger.conftest import Feed, differences, hashes
from tests.ledger.recorded_rpc import (
    PROGRAM,
    SOL,
    Recorder,
    address,
    history,
    identity,
)
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import MAX_BATCH
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role, act_as, execute
from zmart_pipelines.store.queries import health, markets, trades
from zmart_pipelines.store.tables import chain as tables
from zmart_pipelines.store.tables import community, market

# The database transaction that wrote each row last; untouched rows keep it.
VERSIONS = """
SELECT 't', signature, xmin FROM chain.transactions
UNION ALL SELECT 'e', signature, xmin FROM chain.events
UNION ALL SELECT 'm', market_id, xmin FROM market.markets
UNION ALL SELECT 'p', market_id || "user", xmin FROM market.positions
ORDER BY 1, 2
"""


def batches(
    transactions: Iterable[RawTransaction], dice: random.Random
) -> Iterable[list[RawTransaction]]:
    left = list(transactions)
    while left:
        size = dice.randint(1, 40)
        yield left[:size]
        left = left[size:]


def count(db: Engine, table: Table) -> int:
    with db.connect() as conn:
        number: int = conn.execute(select(func.count()).select_from(table)).scalar_one()
    return number


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_and_repetition_stores_the_same_rows(db: Engine, feed: Feed, seed: int) -> None:
    chain = history(seed, 250)
    dice = random.Random(seed)
    reported = list(chain.transactions) * 2 + [
        chain.transactions[dice.randrange(len(chain.transactions))] for _ in range(200)
    ]
    dice.shuffle(reported)
    for batch in batches(reported, dice):
        level = dice.choice([Commitment.REPORTED, Commitment.CONFIRMED, Commitment.FINALIZED])
        source = Source.WEBHOOK if level is Commitment.REPORTED else Source.CONFIRMED_POLL
        feed(batch, level, source)
    assert differences(db, chain) == []
    assert count(db, tables.transactions) == len(chain.transactions)
    events = sum(one.logs.count("Program log: Instruction: Something") for one in successful(chain))
    assert count(db, tables.events) == events
    with db.connect() as conn:
        assert rebuild.verify_projection(conn, PROGRAM) == []


def successful(chain: Recorder) -> list[RawTransaction]:
    return [one for one in chain.transactions if one.error is None]


def test_replay_changes_no_row(db: Engine, feed: Feed) -> None:
    chain = history(4, 150)
    first = feed(chain.transactions)
    assert first.new_transactions == len(chain.transactions)
    before = hashes(db, chain)
    with db.connect() as conn:
        head = stream.head(conn)
        versions = conn.execute(text(VERSIONS)).all()
    again = feed(chain.transactions)
    assert (again.new_transactions, again.new_events, again.promoted) == (0, 0, 0)
    assert again.markets == frozenset()
    assert hashes(db, chain) == before
    with db.connect() as conn:
        assert stream.head(conn) == head
        lag = health.ledger_lag(conn)
        assert conn.execute(text(VERSIONS)).all() == versions
    assert lag.transactions == len(chain.transactions)


def test_rows_and_their_market_are_promoted(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])

    def levels() -> set[str]:
        with db.connect() as conn:
            found = markets.get(conn, market_id)
            (trade,) = trades.find_trades(conn, market_id=market_id)
            rows = conn.execute(select(tables.events.c.commitment).distinct()).scalars().all()
        assert found is not None
        return {found.commitment, trade.commitment, *rows}

    assert feed(chain.transactions, "reported", Source.WEBHOOK).promoted == 0
    assert levels() == {"reported"}
    assert feed(chain.transactions, "confirmed", Source.CONFIRMED_POLL).promoted == len(
        chain.transactions
    )
    assert levels() == {"confirmed"}
    # One event with a lower commitment keeps the market at it.
    feed(chain.transactions[:-1], "finalized", Source.FINALIZED_WINDOW)
    assert levels() == {"confirmed", "finalized"}
    feed(chain.transactions, "finalized", Source.FINALIZED_WINDOW)
    assert levels() == {"finalized"}
    assert feed(chain.transactions, "reported", Source.WEBHOOK).promoted == 0
    assert levels() == {"finalized"}
    with db.connect() as conn:
        sources = conn.execute(select(tables.transactions.c.sources).distinct()).scalars().all()
    assert [Source(one) for one in sources] == [
        Source.WEBHOOK | Source.CONFIRMED_POLL | Source.FINALIZED_WINDOW
    ]


def test_failed_transactions_are_stored_and_change_no_market(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.buy(market_id, chain.users[1])  # not Active: refused
    assert chain.transactions[-1].error is not None
    result = feed(chain.transactions)
    assert result.new_transactions == len(chain.transactions)
    assert differences(db, chain) == []
    with db.connect() as conn:
        failed = conn.execute(
            select(tables.transactions.c.error).where(tables.transactions.c.failed)
        ).scalars()
        assert list(failed) == [chain.transactions[-1].error]


def test_claim_stored_before_its_market_is_assigned_to_it(db: Engine, feed: Feed) -> None:
    chain, reported = a_claimed_market()
    claim = reported[-1]
    assert feed([claim]).new_events == 1
    with db.connect() as conn:
        assert conn.execute(select(tables.events.c.market_id)).scalars().all() == [None]
    feed(reported[:-1])
    assert differences(db, chain) == []
    with db.connect() as conn:
        (row,) = trades.claims(conn, market_id=chain.market_ids[0])
    assert row.amount > 0


def a_claimed_market() -> tuple[Recorder, list[RawTransaction]]:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    for user in chain.users[1:4]:
        chain.buy(market_id, user)
        chain.advance()
    market_address = address(market_id)
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=chain.users[5],
            market=market_address,
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    chain.advance(1000)
    chain.send(ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=market_address))
    chain.advance()
    claim = chain.send(
        ix.claim_winnings(
            PROGRAM, user=chain.users[1], market=market_address, resolver=chain.users[5]
        )
    )
    assert claim.error is None
    return chain, chain.transactions


def test_late_configuration_event_refolds_later_trades(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    change = chain.configure((100, 50, 150))
    chain.advance()
    for number in range(20):  # some of them have no base cost under the fees before
        chain.buy(market_id, chain.users[1], cost=SOL + number * 10**7)
    feed([one for one in chain.transactions if one is not change])
    assert {one.field for one in differences(db, chain)} >= {"current_liquidity"}
    with db.connect() as conn:
        assert {gap.kind for gap in health.gaps(conn)} == {"inapplicable"}
    result = feed([change])
    assert set(result.markets) == {market_id}
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert health.gaps(conn) == []


def test_index_in_block_may_arrive_later(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    for user in chain.users[1:5]:  # all in one slot: only the index tells their order
        chain.buy(market_id, user)
    blind = [msgspec.structs.replace(one, index_in_block=None) for one in chain.transactions]
    feed(list(reversed(blind)), "confirmed", Source.CONFIRMED_POLL)
    feed(list(reversed(chain.transactions)), "confirmed", Source.BACKFILL)
    assert differences(db, chain) == []
    with db.connect() as conn:
        found = [
            one.user for one in trades.find_trades(conn, market_id=market_id, descending=False)
        ]
    assert found == [bytes(user) for user in chain.users[1:5]]


def test_draft_is_matched_with_its_own_market_only(db: Engine, feed: Feed, database: str) -> None:
    chain = Recorder()
    question = b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
    api = role_engine(Role.API, database)

    def draft(number: int, creator: bytes, question_hash: str) -> None:
        with api.begin() as conn:
            act_as(conn, creator)
            conn.execute(
                insert(community.market_drafts).values(
                    market_id=identity(number),
                    creator=creator,
                    nonce=bytes([number]),
                    question_hash=question_hash,
                    document=b"{}",
                    question=f"Will draft {number} be matched?",
                    category="crypto",
                    ends_at=func.now(),
                    expires_at=func.now(),
                )
            )

    creator = bytes(chain.users[0])
    draft(1, creator, question.decode())
    draft(2, bytes(chain.users[1]), question.decode())  # another creator's id
    draft(3, creator, "QmOther")
    for number in (1, 2, 3):
        chain.create(number, question_hash=question)
    feed(chain.transactions)
    with api.connect() as conn:
        found = {number: markets.get(conn, identity(number)) for number in (1, 2, 3)}
        assert markets.count(conn, category="crypto") == 1
        assert [one.market_id for one in markets.find_markets(conn, text="draft 1")] == [
            identity(1)
        ]
    questions = {number: one.question for number, one in found.items() if one is not None}
    assert questions == {
        1: "Will draft 1 be matched?",
        2: f"Market {identity(2).hex()[:8]}",
        3: f"Market {identity(3).hex()[:8]}",
    }
    api.dispose()


def test_frames_announce_trades_votes_and_states_in_order(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.send(
        ix.submit_proposal_vote(PROGRAM, user=chain.users[1], market=address(market_id), vote=True)
    )
    chain.open(market_id)
    bought = chain.buy(market_id, chain.users[1])
    feed(chain.transactions)
    with db.connect() as conn:
        frames = stream.read_after(conn, 0)
    assert [one.position for one in frames] == list(range(1, len(frames) + 1))
    own = [one for one in frames if one.channel == stream.market_channel(market_id)]
    assert [one.type for one in own] == ["trade", "vote", "market_state"]
    assert [one.previous for one in own] == [0, own[0].position, own[1].position]
    trade, vote, state = (one.payload for one in own)
    assert (trade["outcome"], trade["outcome_label"]) == (True, "YES")
    assert trade["exact"]["cost"] == str(trade["cost"])
    assert (vote["source"], vote["votes_for"], vote["votes_against"]) == ("chain", 1, 0)
    assert (state["action"], state["state"]) == ("created", "ACTIVE")
    assert state["market"]["trades_count"] == 1
    assert bought.error is None


def test_batch_size_and_commitment_are_checked(db: Engine) -> None:
    chain = Recorder()
    with pytest.raises(ValueError, match="at most 1000 transactions"):
        ingest_committed(
            db,
            chain.transactions * MAX_BATCH,
            source=Source.BACKFILL,
            commitment="finalized",
            program=PROGRAM,
        )
    with pytest.raises(ValueError, match="certain"):
        ingest_committed(
            db, chain.transactions, source=Source.BACKFILL, commitment="certain", program=PROGRAM
        )


def test_configuration_history_is_stored(db: Engine, feed: Feed) -> None:
    chain = Recorder()
    chain.configure((1, 2, 3))
    feed(list(reversed(chain.transactions)))
    history_ = market.config_history
    with db.connect() as conn:
        fees = conn.execute(
            select(history_.c.protocol_fee_bps).order_by(history_.c.slot, history_.c.index_in_block)
        ).scalars()
        assert list(fees) == [300, 300, 1]


@pytest.mark.parametrize("code", ["40P01", "40001", "23505"])
def test_only_collisions_are_retried(db: Engine, code: str) -> None:
    tries: list[int] = []

    def collide(conn: Connection) -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            execute(conn, f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$")
        return "done"

    assert run_in_transaction(db, collide) == "done"
    assert len(tries) == 3
    tries.clear()

    def fail(conn: Connection) -> None:
        tries.append(1)
        execute(conn, "SELECT 1 / 0")

    with pytest.raises(DBAPIError, match="division by zero"):
        run_in_transaction(db, fail)
    assert len(tries) == 1
