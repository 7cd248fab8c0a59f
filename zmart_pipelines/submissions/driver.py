"""The thin edge around the machine: reads, signs, sends and writes what it says.

One thread drives all due markets at once. Each round looks at the chain for all of them
together, feeds what was seen to the machine and performs the effects it answers with.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, Engine

from zmart_pipelines.breakers.machine import Permit
from zmart_pipelines.breakers.policies import action_policy
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signer import SigningRefused
from zmart_pipelines.chain.transaction_builder import BuildError
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import (
    action_breakers,
    attempts,
    authority_check,
    chain_reads,
    intents,
    machine,
    messages,
    operator_actions,
    signing,
    switches,
)
from zmart_pipelines.submissions.attempts import Attempt
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.effect_records import (
    RecordEffect,
    TransactionCost,
    record,
    transaction_cost,
)
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.lease import Lease, LeaseLost, acquire, fence, release, renew
from zmart_pipelines.submissions.reports import DriveReport, intent_outcomes
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.statuses import ACTIONS, Action

# A pause of the last open intents that is shorter than this is waited out.
MAX_IDLE_SECONDS = 5.0

_FEES_ALERT = AlertKey("submission_fees")


def drive(
    engine: Engine,
    rpc: RpcClient,
    reader: AccountReader,
    signers: Signers,
    settings: Settings,
    *,
    actions: Collection[Action] = ACTIONS,
    run_id: str | None = None,
    seconds: float | None = None,
) -> DriveReport:
    """Drives every open intent of ``actions`` to a verdict, all markets at once.

    Live attempts of an earlier run are driven first, whatever their action. Returns when
    nothing is left to do or after ``seconds`` (default: ``submission_run_seconds``); what is
    still open then is resumed by the next call. Rejections by the program and an unreachable
    node are outcomes, not exceptions.
    """
    started = time.monotonic()
    holder = f"{socket.gethostname()}:{os.getpid()}:{run_id or uuid.uuid4().hex}"
    with engine.begin() as conn:
        lease = acquire(conn, holder, settings.submission_lease_seconds)
    if lease is None:
        return DriveReport((), None, 0.0, "another submitter holds the lease")
    submitter = _Submitter(engine, rpc, signers, settings, lease, set(actions), run_id)
    without, refused = authority_check.check_authorities(
        engine, rpc, reader, signers, min_balance=settings.min_balance_lamports
    )
    operator_actions.clear_resolved_alerts(engine, rpc, settings.program)
    try:
        if refused is None:
            limit = settings.submission_run_seconds if seconds is None else seconds
            submitter.run(started + limit, without)
    except LeaseLost as lost:
        refused = f"the lease was lost: {lost}"
    with engine.begin() as conn:
        submitter.return_permits(conn)
        release(conn, lease)
        outcomes = intent_outcomes(conn, list(submitter.touched))
    return DriveReport(outcomes, lease.epoch, time.monotonic() - started, refused)


class _Submitter:
    """One run: the jobs in hand, and how the machine's effects are performed for them."""

    def __init__(
        self,
        engine: Engine,
        rpc: RpcClient,
        signers: Signers,
        settings: Settings,
        lease: Lease,
        actions: set[Action],
        run_id: str | None,
    ) -> None:
        self._engine = engine
        self._rpc = rpc
        self._signers = signers
        self._settings = settings
        self._lease = lease
        self._actions = actions
        self._run_id = run_id
        self._policy = action_policy(settings)
        self._jobs: list[DrivenIntent] = []
        self._off: set[Action] = set()
        self._withheld: set[int] = set()
        self._renewed = time.monotonic()
        # The intents driven or refused so far, in that order.
        self.touched: dict[int, None] = {}

    def run(self, deadline: float, without: set[Action]) -> None:
        """Rounds until nothing is open that is due soon, or until the deadline.

        :param without: actions that are not taken up, for want of a key.
        """
        self._actions -= without
        while time.monotonic() < deadline:
            pause = self._load()
            if not self._jobs:
                if pause is None or pause > min(MAX_IDLE_SECONDS, deadline - time.monotonic()):
                    return
                time.sleep(max(pause, 0.0))
                continue
            self._round()
            self._jobs = [job for job in self._jobs if not job.ended]
            if self._jobs:
                time.sleep(machine.POLL_SECONDS)

    def _load(self) -> float | None:
        """Takes up due intents, one per market: the live one, else the oldest. Returns the
        seconds until the next of the others is due, None when there is none.
        """
        self._renew()
        with self._engine.begin() as conn:
            fence(conn, self._lease)
            intents.claim_for_epoch(conn, self._lease)
            attempts.claim_for_epoch(conn, self._lease)
            self._off = switches.disabled_actions(conn, self._settings)
            return self._take_up(conn, attempts.live(conn), intents.open_intents(conn))

    def _take_up(
        self, conn: Connection, live: Mapping[bytes, Attempt], found: Iterable[Intent]
    ) -> float | None:
        busy = {job.intent.market_id for job in self._jobs}
        pauses: list[float] = []
        due: list[Intent] = []
        for intent in sorted(found, key=lambda one: (one.status != "live", one.id)):
            if intent.market_id in busy:
                continue
            busy.add(intent.market_id)
            if intent.status == "live":
                attempt = live.get(intent.market_id)
                own = attempt is not None and attempt.intent_id == intent.id
                self._take(DrivenIntent(intent, attempt if own else None))
            elif intent.action in self._actions and intent.id not in self._withheld:
                if intent.due_in > 0:
                    pauses.append(intent.due_in)
                else:
                    due.append(intent)
        permits = action_breakers.ActionPermits(conn, self._policy)
        # A probe is made with the intent that is least to blame.
        for intent in sorted(due, key=lambda one: (one.failures, one.id)):
            answer = permits.request(intent.action)
            if isinstance(answer, Permit):
                self._take(DrivenIntent(intent, permit=answer))
                continue
            self.touched.setdefault(intent.id)
            reason = action_breakers.refusal_reason(intent.action, answer)
            if intent.reason != reason:
                intents.update_open(conn, self._lease, intent, "planned", reason=reason)
        return min(pauses, default=None)

    def _take(self, job: DrivenIntent) -> None:
        self._jobs.append(job)
        self.touched.setdefault(job.intent.id)

    def return_permits(self, conn: Connection) -> None:
        """Returns the permits of what was taken up and not tried."""
        for job in self._jobs:
            if job.attempt is None:
                action_breakers.return_probe(conn, job)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > self._settings.submission_lease_seconds / 4:
            with self._engine.begin() as conn:
                renew(conn, self._lease, self._settings.submission_lease_seconds)
            self._renewed = time.monotonic()

    def _round(self) -> None:
        events: chain_reads.Observations = [
            (job, messages.Tick(time.monotonic())) for job in self._jobs
        ]
        while events:
            effects: list[tuple[DrivenIntent, messages.Effect]] = []
            for job, event in events:
                job.work, wanted = machine.step(job.work, event)
                effects += [(job, effect) for effect in wanted]
            events = self._perform(effects)

    def _perform(
        self, effects: list[tuple[DrivenIntent, messages.Effect]]
    ) -> chain_reads.Observations:
        """Reads are made for all jobs at once; everything else job by job, in order."""
        seen: chain_reads.Observations = []
        reads: dict[messages.Effect, list[DrivenIntent]] = {}
        for job, effect in effects:
            match effect:
                case messages.Simulate():
                    seen.append((job, self._simulate(job)))
                case messages.Sign(units=units):
                    seen.append((job, self._sign(job, units)))
                case messages.Send():
                    seen += self._send(job)
                case messages.ReadAccount() | messages.ReadStatus() | messages.ReadHeight():
                    reads.setdefault(effect, []).append(job)
                case _:
                    self._record(job, effect)
        for read, jobs in reads.items():
            match read:
                case messages.ReadStatus(history=history):
                    seen += chain_reads.read_statuses(self._rpc, jobs, history=history)
                case messages.ReadHeight():
                    seen += chain_reads.read_heights(self._rpc, jobs)
                case _:
                    seen += chain_reads.read_accounts(self._rpc, self._settings.program, jobs)
        return seen

    def _simulate(self, job: DrivenIntent) -> messages.Event:
        signer = self._signers.of(job.intent.action)
        if signer is None:
            return messages.Simulated(units=0, error="KeyMissing")
        try:
            simulation = signing.simulate(
                self._rpc, job.intent, self._settings.program, signer.pubkey()
            )
        except chain_reads.NODE_ERRORS as error:
            return messages.Unreachable(str(error))
        return messages.Simulated(units=simulation.units or 0, error=signing.error_name(simulation))

    def _sign(self, job: DrivenIntent, units: int) -> messages.Event:
        if self._stopped(job.intent.action):
            self._withheld.add(job.intent.id)
            return messages.Withheld("submissions are switched off; simulated only")
        signer = self._signers.of(job.intent.action)
        if signer is None:
            return messages.Unsigned("the key is missing")
        try:
            signed = signing.sign(self._rpc, job.intent, self._settings, signer, used_units=units)
        except chain_reads.NODE_ERRORS as error:
            return messages.Unreachable(str(error))
        except (BuildError, SigningRefused) as error:
            return messages.Unsigned(str(error))
        with self._engine.begin() as conn:
            fence(conn, self._lease)
            spent = attempts.fees_since(conn, 3600)
            most = self._settings.max_fees_per_hour_lamports
            if spent + signed.fee > most:
                self._withheld.add(job.intent.id)
                reason = f"fees of the last hour are {spent} of at most {most} lamports"
                raise_alert(conn, _FEES_ALERT, "high", reason)
                return messages.Withheld(reason)
            clear_alert(conn, _FEES_ALERT)
            job.attempt = attempts.create(
                conn, self._lease, job.intent, signed, run_id=self._run_id
            )
            if job.attempt is None:
                return messages.Withheld("another attempt of this market is live")
            intents.update_open(conn, self._lease, job.intent, "live")
        return messages.Persisted(last_valid=signed.last_valid_block_height, now=time.monotonic())

    def _send(self, job: DrivenIntent) -> chain_reads.Observations:
        if self._stopped(job.intent.action):
            return []
        error = None
        try:
            self._rpc.send(job.live.transaction)
        except chain_reads.NODE_ERRORS as failure:
            error = str(failure)
        return [(job, messages.Sent(error))]

    def _record(self, job: DrivenIntent, effect: RecordEffect) -> None:
        cost = TransactionCost()
        if isinstance(effect, messages.Settle) and effect.attempt == "final":
            cost = transaction_cost(self._rpc, job.live.signature)
        record(self._engine, self._lease, job, effect, cost, self._policy)

    def _stopped(self, action: Action) -> bool:
        return action in self._off
