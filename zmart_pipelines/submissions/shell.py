"""The thin edge around the machine: reads, signs, sends and writes what it says.

One thread drives all due markets at once. Each round looks at the chain for all of them
together, feeds what was seen to the machine and performs the effects it answers with.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Collection

import msgspec
from solders.signature import Signature
from sqlalchemy import Connection, Engine

from zmart_pipelines.chain.build import BuildError
from zmart_pipelines.chain.reader import AccountMissing, ChainReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signer import Signer, SigningRefused
from zmart_pipelines.monitoring.alerts import clear_alert, raise_alert
from zmart_pipelines.program.accounts import GlobalConfig
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import attempts, intents, machine, observing, signing, switches
from zmart_pipelines.submissions.job import Job
from zmart_pipelines.submissions.lease import Lease, LeaseLost, acquire, fence, release, renew
from zmart_pipelines.submissions.recording import Cost, Record, cost_of, record
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.states import ACTIONS, Action, IntentStatus

__all__ = ["ACTIONS", "DriveReport", "Outcome", "drive"]

# A pause of the last open intents that is shorter than this is waited out.
PATIENCE_SECONDS = 5.0


class Outcome(msgspec.Struct, frozen=True):
    """What became of one intent in this run. ``fee`` in lamports, of all its attempts."""

    intent_id: int
    market_id: bytes
    action: Action
    round: int
    status: IntentStatus
    reason: str | None
    signatures: tuple[str, ...]
    slot: int | None
    fee: int | None
    compute_units: int | None
    bundle_cid: str | None


class DriveReport(msgspec.Struct, frozen=True):
    """One run of the submitter. ``refused`` says why nothing was driven, or why the run ended
    early: the lease is another's, or our key is not the authority that the chain names.
    """

    outcomes: tuple[Outcome, ...]
    epoch: int | None
    seconds: float
    refused: str | None = None

    def by_status(self, status: IntentStatus) -> tuple[Outcome, ...]:
        """The outcomes that ended in this status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)


Observer = Callable[[str, Job], None]


def drive(
    engine: Engine,
    rpc: RpcClient,
    reader: ChainReader,
    signers: Signers,
    settings: Settings,
    *,
    actions: Collection[Action] = ACTIONS,
    run_id: str | None = None,
    seconds: float | None = None,
    observer: Observer | None = None,
) -> DriveReport:
    """Drives every open intent of ``actions`` to a verdict, all markets at once.

    Live attempts of an earlier run are driven first, whatever their action. Returns when
    nothing is left to do or after ``seconds`` (default: ``submission_run_seconds``); what is
    still open then is resumed by the next call. Rejections by the program and an unreachable
    node are outcomes, not exceptions.

    :param observer: called with the name of each step before it is taken; tests crash here.
    """
    started = time.monotonic()
    holder = f"{socket.gethostname()}:{os.getpid()}:{run_id or uuid.uuid4().hex}"
    with engine.begin() as conn:
        lease = acquire(conn, holder, settings.submission_lease_seconds)
    if lease is None:
        return DriveReport((), None, 0.0, "another submitter holds the lease")
    submitter = _Submitter(engine, rpc, signers, settings, lease, set(actions), run_id, observer)
    refused = None
    try:
        refused = submitter.check_keys(reader)
        if refused is None:
            limit = settings.submission_run_seconds if seconds is None else seconds
            submitter.run(started + limit)
    except LeaseLost as lost:
        refused = f"the lease was lost: {lost}"
    with engine.begin() as conn:
        release(conn, lease)
        outcomes = _outcomes(conn, submitter.touched)
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
        observer: Observer | None,
    ) -> None:
        self._engine = engine
        self._rpc = rpc
        self._signers = signers
        self._settings = settings
        self._lease = lease
        self._actions = actions
        self._run_id = run_id
        self._observe = observer or (lambda step, job: None)
        self._jobs: list[Job] = []
        self._off: set[Action] = set()
        self._withheld: set[int] = set()
        self._renewed = time.monotonic()
        self.touched: list[int] = []

    def check_keys(self, reader: ChainReader) -> str | None:
        """Why nothing may be signed: our key is not the chain's authority, or has no funds
        for the fees. The admin's and the resolver's key only take their own actions out.
        """
        try:
            config = reader.config("finalized").value
            backend = self._key_fault("backend authority", self._signers.backend, config)
            admin = self._key_fault("admin", self._signers.admin, config)
            resolver = self._key_fault("resolver", self._signers.resolver, config)
        except (*observing.NODE_ERRORS, AccountMissing) as error:
            return f"the configuration cannot be read: {error}"
        with self._engine.begin() as conn:
            for key, fault in (
                ("submitter_key", backend),
                ("admin_key", admin),
                ("resolver_key", resolver),
            ):
                if fault:
                    raise_alert(conn, key, "critical", fault)
                else:
                    clear_alert(conn, key)
        if admin is not None or self._signers.admin is None:
            self._actions -= {"approve_proposal", "activate_market"}
        if resolver is not None or self._signers.resolver is None:
            self._actions.discard("resolve_market")
        return backend

    def _key_fault(self, role: str, signer: Signer | None, config: GlobalConfig) -> str | None:
        if signer is None:
            return None
        key = signer.pubkey()
        named = {"admin": config.admin, "backend authority": config.backend_authority}
        if bytes(key) != named.get(role, bytes(key)):
            return f"{key} is not the {role} that the chain names"
        balance = self._rpc.balance(key, "finalized").value
        if balance < self._settings.min_balance_lamports:
            return f"{key}, the {role}, has only {balance} lamports left for fees; fund it"
        return None

    def run(self, deadline: float) -> None:
        """Rounds until nothing is open that is due soon, or until the deadline."""
        while time.monotonic() < deadline:
            pause = self._load()
            if not self._jobs:
                if pause is None or pause > min(PATIENCE_SECONDS, deadline - time.monotonic()):
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
            intents.adopt(conn, self._lease)
            attempts.adopt(conn, self._lease)
            self._off = switches.off(conn, self._settings)
            live = attempts.live(conn)
            found = intents.open_intents(conn)
        busy = {job.intent.market_id for job in self._jobs}
        pause: float | None = None
        for intent in sorted(found, key=lambda one: (one.status != "live", one.id)):
            if intent.market_id in busy:
                continue
            busy.add(intent.market_id)
            if intent.status == "planned":
                if intent.action not in self._actions or intent.id in self._withheld:
                    continue
                if intent.due_in > 0:
                    pause = intent.due_in if pause is None else min(pause, intent.due_in)
                    continue
            attempt = live.get(intent.market_id)
            own = attempt is not None and attempt.intent_id == intent.id
            self._jobs.append(Job(intent, attempt if own else None))
            if intent.id not in self.touched:
                self.touched.append(intent.id)
        return pause

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > self._settings.submission_lease_seconds / 4:
            with self._engine.begin() as conn:
                renew(conn, self._lease, self._settings.submission_lease_seconds)
            self._renewed = time.monotonic()

    def _round(self) -> None:
        events: observing.Seen = [(job, machine.Tick(time.monotonic())) for job in self._jobs]
        while events:
            effects: list[tuple[Job, machine.Effect]] = []
            for job, event in events:
                job.work, wanted = machine.step(job.work, event)
                effects += [(job, effect) for effect in wanted]
            events = self._perform(effects)

    def _perform(self, effects: list[tuple[Job, machine.Effect]]) -> observing.Seen:
        """Reads are made for all jobs at once; everything else job by job, in order."""
        seen: observing.Seen = []
        reads: dict[machine.Effect, list[Job]] = {}
        for job, effect in effects:
            match effect:
                case machine.Simulate():
                    seen.append((job, self._simulate(job)))
                case machine.Sign(units=units):
                    seen.append((job, self._sign(job, units)))
                case machine.Send():
                    seen += self._send(job)
                case machine.ReadAccount() | machine.ReadStatus() | machine.ReadHeight():
                    reads.setdefault(effect, []).append(job)
                case _:
                    self._record(job, effect)
        for read, jobs in reads.items():
            match read:
                case machine.ReadStatus(history=history):
                    seen += observing.statuses(self._rpc, jobs, history=history)
                case machine.ReadHeight():
                    seen += observing.heights(self._rpc, jobs)
                case _:
                    seen += observing.accounts(self._rpc, self._settings.program, jobs)
        return seen

    def _simulate(self, job: Job) -> machine.Event:
        self._observe("simulate", job)
        signer = self._signers.of(job.intent.action)
        if signer is None:
            return machine.Simulated(units=0, error="KeyMissing")
        try:
            simulation = signing.simulate(
                self._rpc, job.intent, self._settings.program, signer.pubkey()
            )
        except observing.NODE_ERRORS as error:
            return machine.Unreachable(str(error))
        return machine.Simulated(units=simulation.units or 0, error=signing.error_name(simulation))

    def _sign(self, job: Job, units: int) -> machine.Event:
        self._observe("sign", job)
        if self._stopped(job.intent.action):
            self._withheld.add(job.intent.id)
            return machine.Withheld("submissions are switched off; simulated only")
        signer = self._signers.of(job.intent.action)
        if signer is None:
            return machine.Unsigned("the key is missing")
        try:
            signed = signing.sign(self._rpc, job.intent, self._settings, signer, used_units=units)
        except observing.NODE_ERRORS as error:
            return machine.Unreachable(str(error))
        except (BuildError, SigningRefused) as error:
            return machine.Unsigned(str(error))
        self._observe("commit", job)
        with self._engine.begin() as conn:
            fence(conn, self._lease)
            spent = attempts.fees_since(conn, 3600)
            most = self._settings.max_fees_per_hour_lamports
            if spent + signed.fee > most:
                self._withheld.add(job.intent.id)
                reason = f"fees of the last hour are {spent} of at most {most} lamports"
                raise_alert(conn, "submission_fees", "high", reason)
                return machine.Withheld(reason)
            clear_alert(conn, "submission_fees")
            job.attempt = attempts.create(
                conn, self._lease, job.intent, signed, run_id=self._run_id
            )
            if job.attempt is None:
                return machine.Withheld("another attempt of this market is live")
            intents.update_of(conn, self._lease, job.intent, "live")
        self._observe("committed", job)
        return machine.Persisted(last_valid=signed.last_valid_block_height, now=time.monotonic())

    def _send(self, job: Job) -> observing.Seen:
        if self._stopped(job.intent.action):
            return []
        self._observe("send", job)
        error = None
        try:
            self._rpc.send(job.live.transaction)
        except observing.NODE_ERRORS as failure:
            error = str(failure)
        self._observe("sent", job)
        return [(job, machine.Sent(error))]

    def _record(self, job: Job, effect: Record) -> None:
        self._observe(type(effect).__name__, job)
        cost = Cost()
        if isinstance(effect, machine.Settle) and effect.attempt == "final":
            cost = cost_of(self._rpc, job.live.signature)
        record(self._engine, self._lease, job, effect, cost)

    def _stopped(self, action: Action) -> bool:
        return action in self._off


def _outcomes(conn: Connection, intent_ids: list[int]) -> tuple[Outcome, ...]:
    tried = attempts.of_intents(conn, intent_ids)
    outcomes = []
    for intent_id in intent_ids:
        intent = intents.get(conn, intent_id)
        own = [attempt for attempt in tried if attempt.intent_id == intent_id]
        landed = [attempt for attempt in own if attempt.status in ("landed", "final")]
        outcomes.append(
            Outcome(
                intent_id=intent_id,
                market_id=intent.market_id,
                action=intent.action,
                round=intent.round,
                status=intent.status,
                reason=intent.reason,
                signatures=tuple(str(Signature(attempt.signature)) for attempt in own),
                slot=landed[-1].landed_slot if landed else None,
                fee=sum(attempt.fee or 0 for attempt in landed) if landed else None,
                compute_units=landed[-1].compute_units if landed else None,
                bundle_cid=intent.bundle_cid,
            )
        )
    return tuple(outcomes)
