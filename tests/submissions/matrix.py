"""Crashes of real submitters on a real chain: where they die, and what becomes of what they did.

One case: an intent is stored; a submitter drives it and is killed at a point; the chain goes
on in one of three ways; submitters are started, one after the other as a schedule does it,
until the intent is closed. There is no intervention. Then the *chain* is read for how often the
action took effect, and the table whether the case was what it is called.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.signature import Signature
from sqlalchemy import Row, select

from tests.submissions.submitters import Orders, Point, Submitter, wait_until
from tests.submissions.world import QUESTION, SOL, World
from tests.voting.world import wallet
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.calls import decode_instruction
from zmart_pipelines.store.tables.ops import alerts, attempts, intents
from zmart_pipelines.submissions import intents as intent_rows
from zmart_pipelines.submissions.lease import STALL_SECONDS
from zmart_pipelines.submissions.statuses import Action

# lands: what was sent stays. is lost: it never lands, or all that is not final is forked away,
# and its blockhash expires. is forked away: its block goes, and it can land in another one;
# what was not sent yet loses the block of its blockhash.
Fate = Literal["lands", "is lost", "is forked away"]
POINTS: tuple[Point, ...] = get_args(Point)
FATES: tuple[Fate, ...] = get_args(Fate)
EXPIRY = 170
PATIENCE = 60.0
LIKES, DISLIKES = 7, 3
# Markets for cases that have to be done again, and how often one is.
SPARE = 4
# Short, since the next submitter waits for its end; on a busy machine it is made longer.
LEASE_SECONDS = 1.0
LONGEST_LEASE_SECONDS = 8.0


class Matrix:
    """The cases of one action on one chain, each on a market of its own."""

    def __init__(self, world: World, database: str, action: Action, cases: int) -> None:
        self.world = world
        self.action: Action = action
        self._database = database
        self._control = world.chain.control
        self._lease = LEASE_SECONDS
        self.markets = iter(_markets(world, action, cases + cases // 4 + SPARE))

    def case(self, point: Point, fate: Fate, *, send_first: bool = False) -> list[str]:
        """What is wrong after the crash at this point; nothing, when all is as it must be."""
        for _ in range(SPARE):
            faults = self._once(point, fate, send_first=send_first)
            if faults is not None:
                return faults
            self._lease = min(self._lease * 2, LONGEST_LEASE_SECONDS)
        return ["the submitter lost its lease, or the database, each time"]

    def _once(self, point: Point, fate: Fate, *, send_first: bool) -> list[str] | None:
        """None where the machine was so busy that the submitter lost its lease before, or the
        database its patience.
        """
        market = next(self.markets)
        intent = self.plan(market)
        self._control.command("hold-finality")
        if fate == "is lost" and point in ("sent", "final"):
            self._control.command("fault", kind="dropped-send", times=None)
        first = Submitter(self.orders(point, send_first=send_first))
        try:
            if point == "final":
                self._before_the_end(first, intent, fate)
            ended = self.ticking_until(first.over)
        finally:
            first.close()
            self._control.command("clear-faults")
        if not ended:
            return [f"the submitter never came to {point}: {first.passed}"]
        if first.killed and point != "final":
            self._befall(intent, fate, out=POINTS.index(point) >= POINTS.index("sent"))
        # Its blockhash is gone with a fork; that is not waited for block by block.
        doomed = point == "stored" and fate == "is forked away"
        faults = self.recover(intent, send_first=send_first, doomed=doomed)
        self._control.command("release-finality")
        self._control.finalize()
        faults += self.faults(market, intent)
        if first.killed:
            return faults + self._untrue(intent, first, point, fate, send_first=send_first)
        if first.report is not None and not (first.report.refused or "").startswith("the lease"):
            faults.append(f"the submitter never came to {point}: {first.passed} {first.report}")
        return faults or None

    def _before_the_end(self, first: Submitter, intent: int, fate: Fate) -> None:
        """What is final cannot be undone: at the last point the fate comes before the crash."""
        if fate == "is lost":
            self.ticking_until(lambda: first.over() or "sent" in first.passed)
            self._control.advance(slots=EXPIRY)
            self._control.command("release-finality")
            self.ticking_until(lambda: first.over() or first.passed.count("signed") > 1)
            self._control.command("clear-faults")
        if fate == "is forked away":
            self.ticking_until(lambda: first.over() or "landed" in first.passed)
            if "landed" in first.passed:
                self._drop_its_block(intent)
        self._control.command("release-finality")

    def _befall(self, intent: int, fate: Fate, *, out: bool) -> None:
        """Advance the chain without any observer."""
        if fate == "is forked away" and out:
            self._drop_its_block(intent)
        elif fate != "lands":
            self._drop_blocks()
        if fate == "is lost":
            self._control.command("release-finality")
            self._control.advance(slots=EXPIRY)

    def _drop_blocks(self) -> None:
        """All that is not final goes, the attempt's blockhash with it."""
        levels = self._control.status()
        depth = levels["processed"]["slot"] - levels["finalized"]["slot"] - 1
        self._control.fork(max(depth, 0), [])

    def _drop_its_block(self, intent: int) -> None:
        """The block of the attempt goes, that of its blockhash stays."""
        (signature,) = (row.signature for row in self.attempts(intent))
        (status,) = self.world.rpc.signature_statuses([signature], search_history=False).value
        assert status is not None
        slot = self._control.status()["processed"]["slot"]
        dropped = self._control.fork(slot - status.slot, [])
        assert str(Signature(signature)) in dropped

    def recover(self, intent: int, *, send_first: bool = False, doomed: bool = False) -> list[str]:
        """Starts one submitter after the other until the intent is closed."""
        deadline = time.monotonic() + self._lease + PATIENCE
        while time.monotonic() < deadline:
            submitter = Submitter(self.orders(None, send_first=send_first))
            slots = itertools.count(1)

            def tick(current: Submitter = submitter, slots: Iterator[int] = slots) -> None:
                # Finality waits until the new submitter has acted on what it sees without it.
                if "stored" in current.passed or current.account_reads > 1:
                    self._control.command("release-finality")
                    if doomed and next(slots) % 20 == 0:
                        self._control.advance(slots=EXPIRY)
                self._control.advance()

            try:
                if not wait_until(submitter.over, PATIENCE, tick):
                    return [f"a run hangs: {submitter.passed}"]
            finally:
                submitter.close()
            if self.status(intent) not in ("planned", "live"):
                return []
        return ["the intent cannot be closed"]

    def faults(self, market: bytes, intent: int) -> list[str]:
        """What must never be, by the chain and by the tables."""
        faults = []
        rows = self.attempts(intent)
        landed = self._effective(market)
        if len(landed) != 1:
            faults.append(f"{len(landed)} effective transactions")
        if [row.signature for row in rows if row.status == "final"] != landed:
            faults.append(f"the final attempt is not what landed: {rows}")
        if any(row.status not in ("final", "dead") for row in rows):
            faults.append(f"an attempt is left behind: {rows}")
        account = self.world.market(market)
        if self.action == "aggregate_proposal_votes":
            right = (account.proposal_likes, account.proposal_dislikes) == (LIKES, DISLIKES)
        else:
            right = account.state == MarketState.FINALIZED
        if not right:
            faults.append(f"the account is not what was intended: {account}")
        if (status := self.status(intent)) != "final":
            faults.append(f"the intent is {status}")
        with self.world.engine.connect() as conn:
            is_open = intents.c.status.in_(["planned", "live"])
            left = conn.execute(select(intents.c.id).where(is_open)).scalars().all()
            raised = conn.execute(select(alerts.c.topic)).scalars().all()
        if left:
            faults.append(f"intents are left behind: {left}")
        if raised:
            faults.append(f"alerts were raised: {raised}")
        return faults

    def _untrue(
        self, intent: int, first: Submitter, point: Point, fate: Fate, *, send_first: bool
    ) -> list[str]:
        """Where the case was not what it is called: a matrix of good weather proves nothing."""
        if send_first:
            return []
        tried = [
            (row.run_id == f"process {first.pid}", row.status) for row in self.attempts(intent)
        ]
        if POINTS.index(point) < POINTS.index("stored"):
            expected = [(False, "final")]
        elif fate == "is lost":
            expected = [(True, "dead"), (point == "final", "final")]
        elif fate == "is forked away" and point == "stored":
            expected = [(True, "dead"), (False, "final")]
        else:
            expected = [(True, "final")]
        return [] if tried == expected else [f"the attempts were {tried}, not {expected}"]

    def attempts(self, intent: int) -> Sequence[Row[*tuple[Any, ...]]]:
        with self.world.engine.connect() as conn:
            return conn.execute(
                select(attempts.c.signature, attempts.c.status, attempts.c.run_id)
                .where(attempts.c.intent_id == intent)
                .order_by(attempts.c.id)
            ).all()

    def _effective(self, market: bytes) -> list[bytes]:
        """The successful finalized transactions that did the action to the market."""
        rpc, program = self.world.rpc, self.world.program
        found = []
        for info in rpc.signatures_for_address(self.world.address(market)):
            raw = rpc.transaction(info.signature, "finalized")
            assert raw is not None
            transaction = from_rpc(raw, program)
            names = [decode_instruction(one.data).name for one in transaction.instructions]
            if transaction.error is None and self.action in names:
                found.append(info.signature)
        return found

    def plan(self, market: bytes) -> int:
        counts = {"likes": LIKES, "dislikes": DISLIKES}
        with self.world.engine.begin() as conn:
            made = intent_rows.create(
                conn,
                market_id=market,
                action=self.action,
                round_number=0,
                arguments=counts if self.action == "aggregate_proposal_votes" else {},
            )
        assert made is not None
        return made.id

    def status(self, intent: int) -> str:
        with self.world.engine.connect() as conn:
            return intent_rows.get(conn, intent).status

    def orders(
        self,
        point: Point | None,
        *,
        fate: signal.Signals = signal.SIGKILL,
        stall: float = STALL_SECONDS,
        send_first: bool = False,
    ) -> Orders:
        return Orders(
            database=self._database,
            rpc_url=self.world.chain.rpc_url,
            state=self.world.chain.state,
            point=point,
            fate=fate,
            stall=stall,
            lease=self._lease,
            send_first=send_first,
        )

    def ticking_until(self, condition: Callable[[], bool]) -> bool:
        return wait_until(condition, PATIENCE, self._control.advance)


def _markets(world: World, action: Action, count: int) -> list[bytes]:
    """Fresh markets to which the action can be done, finalized."""
    creator = wallet(1)
    backend, admin = world.chain.keys["backend"], world.chain.keys["admin"]
    world.fund(creator, lamports=500 * SOL)
    markets = [number.to_bytes(32) for number in range(1, count + 1)]
    addresses = [world.address(market) for market in markets]
    program = world.program
    _send_all(
        world,
        creator,
        [
            ix.create_market(
                program,
                creator=creator.pubkey(),
                market_id=market,
                b_parameter=100 * SOL,
                initial_liquidity=SOL // 100,
                question_hash=QUESTION,
            )
            for market in markets
        ],
    )
    if action != "finalize_market":
        return markets
    _send_all(
        world,
        backend,
        [
            ix.aggregate_proposal_votes(
                program, backend_authority=backend.pubkey(), market=market, likes=10, dislikes=0
            )
            for market in addresses
        ],
    )
    approve = ix.approve_proposal
    _send_all(
        world, admin, [approve(program, admin=admin.pubkey(), market=one) for one in addresses]
    )
    activate = ix.activate_market
    _send_all(
        world,
        creator,
        [activate(program, authority=creator.pubkey(), market=market) for market in addresses],
    )
    world.chain.control.advance(seconds=60)
    _send_all(
        world,
        creator,
        [
            ix.resolve_market(
                program,
                resolver=creator.pubkey(),
                market=market,
                outcome=True,
                evidence_hash=QUESTION,
            )
            for market in addresses
        ],
    )
    world.chain.control.advance(seconds=3600)
    world.chain.control.finalize()
    return markets


def _send_all(world: World, payer: Keypair, instructions: list[Instruction]) -> None:
    world.chain.control.advance(slots=3, seconds=1)
    blockhash = world.rpc.latest_blockhash("confirmed")
    for instruction in instructions:
        world.rpc.send(build_transaction(payer.pubkey(), [instruction], blockhash.hash, [payer]))
    world.chain.control.advance(slots=3)
    world.chain.control.finalize()
