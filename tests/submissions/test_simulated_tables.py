"""The simulation on the real tables: the same seeds, the same schedule, in Postgres.

The simulation's own tables are a model of what ``lease``, ``intents``, ``attempts`` and
``effect_records`` write. Here those modules replace it, and every seed must run through the
very same schedule.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text

from tests.submissions import simulated_rows
from tests.submissions.simulated_chain import Transaction
from tests.submissions.simulated_rows import Attempt, Intent
from tests.submissions.simulation import simulate
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import ops
from zmart_pipelines.submissions import attempts, effect_records, intents, lease, messages
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.lease import Lease
from zmart_pipelines.submissions.signing import SignedTransaction

PARTS = [range(start, start + 50) for start in range(0, 200, 50)]


class PostgresTables(simulated_rows.Tables):
    """The simulation's tables, kept in Postgres by the production code.

    Only time is the simulation's: it ends the lease and the pauses.
    """

    def __init__(self, engine: Engine, seed: int) -> None:
        super().__init__()
        self._engine = engine
        self._market = seed.to_bytes(32)
        self._transactions: dict[bytes, Transaction] = {}
        self._id = 0

    def plan(self, counts: int) -> None:
        with self._engine.begin() as conn:
            made = intents.create(
                conn,
                market_id=self._market,
                action="aggregate_proposal_votes",
                round_number=0,
                arguments={"likes": counts, "dislikes": 0},
            )
        assert (made is not None) == (self.intent.status == "none"), "an intent is made once"
        if made is not None:
            self._id = made.id
        super().plan(counts)

    def _end_lease_by(self, now: float) -> None:
        if self.expires <= now:
            with self._engine.begin() as conn:
                conn.execute(text("UPDATE ops.leases SET expires_at = clock_timestamp()"))

    def _lease(self, epoch: int) -> Lease:
        return Lease(holder="", epoch=epoch)

    def acquire(self, name: str, now: float) -> int | None:
        self._end_lease_by(now)
        with self._engine.begin() as conn:
            held = lease.acquire(conn, name, 3600)
        if held is None:
            return None
        self.expires = now + simulated_rows.LEASE_TICKS
        return held.epoch

    def renew(self, epoch: int, now: float) -> None:
        self._end_lease_by(now)
        with self._engine.begin() as conn:
            lease.renew(conn, self._lease(epoch), 3600)
        self.expires = now + simulated_rows.LEASE_TICKS

    def take_up(self, epoch: int, now: float) -> Attempt | None:
        self._end_lease_by(now)
        with self._engine.begin() as conn:
            lease.fence(conn, self._lease(epoch))
            intents.claim_for_epoch(conn, self._lease(epoch))
            attempts.claim_for_epoch(conn, self._lease(epoch))
            row = intents.get(conn, self._id)
        self._see(row)
        return self.live()

    def _see(self, row: intents.Intent) -> None:
        self.intent = Intent(row.status, row.failures, self.intent.due)

    def live(self) -> Attempt | None:
        with self._engine.connect() as conn:
            found = attempts.live(conn).get(self._market)
        if found is None:
            return None
        return Attempt(
            self._transactions[found.signature], found.status, 0, found.sends, found.landed_slot
        )

    def sign(self, epoch: int, now: float, tx: Transaction) -> bool:
        self._end_lease_by(now)
        signature = self._market + tx.name.to_bytes(32)
        signed = SignedTransaction(signature, b"bytes", "hash", tx.last_valid, 5000)
        with self._engine.begin() as conn:
            lease.fence(conn, self._lease(epoch))
            intent = intents.get(conn, self._id)
            made = attempts.create(conn, self._lease(epoch), intent, signed, run_id=None)
            if made is None:
                return False
            intents.update_open(conn, self._lease(epoch), intent, "live")
        self._transactions[signature] = tx
        self.attempts.append(Attempt(tx, "signed", epoch))
        self.intent.status = "live"
        return True

    def write(
        self, epoch: int, now: float, attempt: Attempt | None, effect: messages.Effect
    ) -> None:
        self._end_lease_by(now)
        with self._engine.connect() as conn:
            row = intents.get(conn, self._id)
            stored = None
            if attempt is not None:
                stored = next(
                    one
                    for one in attempts.attempts_of(conn, [self._id])
                    if self._transactions[one.signature] is attempt.tx
                )
        job = DrivenIntent(row, stored)
        assert not isinstance(
            effect,
            messages.Sign
            | messages.Send
            | messages.Simulate
            | messages.ReadAccount
            | messages.ReadStatus
            | messages.ReadHeight,
        )
        effect_records.record(
            self._engine,
            self._lease(epoch),
            job,
            effect,
            effect_records.TransactionCost(),
            Policy(),
        )
        if isinstance(effect, messages.MarkDead | messages.Postpone):
            self.intent.due = now + effect.delay
        with self._engine.connect() as conn:
            self._see(intents.get(conn, self._id))


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", PARTS, ids=str)
def test_tables_agree_with_the_model(pipelines: Engine, seeds: range) -> None:
    for seed in seeds:
        modelled: list[str] = []
        stored: list[str] = []
        assert simulate(seed, schedule=modelled) is None
        assert simulate(seed, schedule=stored, tables=PostgresTables(pipelines, seed)) is None
        # Epochs go on from seed to seed in the database.
        assert [line for line in stored if "holds epoch" not in line] == [
            line for line in modelled if "holds epoch" not in line
        ]
    with pipelines.connect() as conn:
        statuses = conn.execute(select(ops.intents.c.status)).scalars().all()
        live = attempts.live(conn)
    assert statuses == ["final"] * len(seeds)
    assert live == {}
