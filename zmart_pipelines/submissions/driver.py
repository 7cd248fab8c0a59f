"""The driver of the machine: it performs the effects on the chain and on the tables.

One thread drives all due markets at once. Each round reads the chain for all of them together,
passes the events to the machine and performs the effects that it returns.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Collection, Iterable, Mapping

import msgspec
from sqlalchemy import Connection, Engine

from zmart_pipelines.breakers.machine import Permit
from zmart_pipelines.breakers.policies import action_policy
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.faults import transaction_fault
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signer import SigningRefused
from zmart_pipelines.chain.transaction_builder import BuildError
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.outages import concerns_database
from zmart_pipelines.structured_logs import bound
from zmart_pipelines.submissions import (
    action_breakers,
    attempts,
    authority_check,
    chain_reads,
    intent_traces,
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
    alert_about,
    record,
    transaction_cost,
)
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.lease import Lease, LeaseLost, acquire, fence, release, renew
from zmart_pipelines.submissions.reports import DriveReport, intent_outcomes
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.statuses import ACTIONS, Action

# When all open intents are due later, the run waits up to so many seconds for the next one.
MAX_IDLE_SECONDS = 5.0

_READS = (messages.ReadAccount, messages.ReadStatus, messages.ReadHeight)
# Characters of an unexpected error in an alert.
_MAX_REASON = 300

_log = logging.getLogger(__name__)

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
    """Drive every open intent of ``actions`` to a verdict, all markets at once.

    Live attempts of an earlier run are driven first, whatever their action. Returns when
    nothing is left to do or after ``seconds`` (default: ``submission_run_seconds``); the next call
    resumes what is still open. Rejections by the program and an unreachable node are outcomes, not
    exceptions.
    """
    started = time.monotonic()
    holder = f"{socket.gethostname()}:{os.getpid()}:{run_id or uuid.uuid4().hex}"
    with engine.begin() as conn:
        lease = acquire(conn, holder, settings.submission_lease_seconds)
    if lease is None:
        return DriveReport((), None, 0.0, "another submitter holds the lease")
    submitter = _Submitter(engine, rpc, signers, settings, lease, set(actions), run_id)
    excluded, refused = authority_check.check_authorities(
        engine, rpc, reader, signers, min_balance=settings.min_balance_lamports
    )
    operator_actions.clear_resolved_alerts(engine, rpc, settings.program)
    try:
        if refused is None:
            limit = settings.submission_run_seconds if seconds is None else seconds
            submitter.run(started + limit, excluded)
    except LeaseLost as lost:
        refused = f"the lease was lost: {lost}"
    with engine.begin() as conn:
        submitter.return_permits(conn)
        release(conn, lease)
        outcomes = intent_outcomes(conn, list(submitter.touched))
    return DriveReport(outcomes, lease.epoch, time.monotonic() - started, refused)


class _Submitter:
    """One run: the intents that it drives, and the performing of their effects."""

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
        self._driven: list[DrivenIntent] = []
        self._disabled: set[Action] = set()
        self._withheld: set[int] = set()
        # Intents that raised an unexpected error in this run.
        self._set_aside: set[int] = set()
        self._renewed = time.monotonic()
        # The intents driven or refused so far, in order.
        self.touched: dict[int, None] = {}

    def run(self, deadline: float, excluded: set[Action]) -> None:
        """Run rounds until no open intent is due soon, or until the deadline.

        Args:
            deadline: In monotonic seconds.
            excluded: Actions that are not started, because their key is missing or unusable.
        """
        self._actions -= excluded
        while time.monotonic() < deadline:
            pause = self._load()
            if not self._driven:
                if pause is None or pause > min(MAX_IDLE_SECONDS, deadline - time.monotonic()):
                    return
                time.sleep(max(pause, 0.0))
                continue
            self._round()
            self._driven = [driven for driven in self._driven if not driven.ended]
            if self._driven:
                time.sleep(machine.POLL_SECONDS)

    def _load(self) -> float | None:
        """Start due intents, one per market: the live one, otherwise the oldest.

        Returns:
            Seconds until the next of the others is due, None when there is none.
        """
        self._renew()
        with self._engine.begin() as conn:
            fence(conn, self._lease)
            intents.claim_for_epoch(conn, self._lease)
            attempts.claim_for_epoch(conn, self._lease)
            self._disabled = switches.disabled_actions(conn, self._settings)
            return self._start_due(conn, attempts.live(conn), intents.open_intents(conn))

    def _start_due(
        self, conn: Connection, live: Mapping[bytes, Attempt], open_intents: Iterable[Intent]
    ) -> float | None:
        busy = {driven.intent.market_id for driven in self._driven}
        pauses: list[float] = []
        due: list[Intent] = []
        for intent in sorted(open_intents, key=lambda one: (one.status != "live", one.id)):
            if intent.market_id in busy:
                continue
            if intent.id in self._set_aside:
                busy.add(intent.market_id)
                continue
            busy.add(intent.market_id)
            if intent.status == "live":
                attempt = live.get(intent.market_id)
                own = attempt is not None and attempt.intent_id == intent.id
                self._add(DrivenIntent(intent, attempt if own else None))
            elif intent.action in self._actions and intent.id not in self._withheld:
                if intent.due_in > 0:
                    pauses.append(intent.due_in)
                else:
                    due.append(intent)
        permits = action_breakers.ActionPermits(conn, self._policy)
        # The intent with the fewest failures becomes the probe.
        for intent in sorted(due, key=lambda one: (one.failures, one.id)):
            answer = permits.request(intent.action)
            if isinstance(answer, Permit):
                self._add(DrivenIntent(intent, permit=answer))
                continue
            self.touched.setdefault(intent.id)
            reason = action_breakers.refusal_reason(intent.action, answer)
            if intent.reason != reason:
                intents.update_open(conn, self._lease, intent, "planned", reason=reason)
        return min(pauses, default=None)

    def _add(self, driven: DrivenIntent) -> None:
        self._driven.append(driven)
        self.touched.setdefault(driven.intent.id)

    def return_permits(self, conn: Connection) -> None:
        """Return the unused probes of intents that were started without an attempt."""
        for driven in self._driven:
            if driven.attempt is None:
                action_breakers.return_probe(conn, driven)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > self._settings.submission_lease_seconds / 4:
            with self._engine.begin() as conn:
                renew(conn, self._lease, self._settings.submission_lease_seconds)
            self._renewed = time.monotonic()

    def _round(self) -> None:
        events: chain_reads.Observations = [
            (driven, messages.Tick(time.monotonic())) for driven in self._driven
        ]
        while events:
            effects: list[tuple[DrivenIntent, messages.Effect]] = []
            for driven, event in events:
                driven.state, next_effects = machine.step(driven.state, event)
                effects += [(driven, effect) for effect in next_effects]
            events = self._perform(effects)

    def _perform(
        self, effects: list[tuple[DrivenIntent, messages.Effect]]
    ) -> chain_reads.Observations:
        """Perform effects: reads for all intents at once, everything else one by one, in order."""
        events: chain_reads.Observations = []
        reads: dict[messages.Effect, list[DrivenIntent]] = {}
        for driven, effect in effects:
            if isinstance(effect, _READS):
                reads.setdefault(effect, []).append(driven)
            elif driven.intent.id not in self._set_aside:
                events += self._perform_one(driven, effect)
        for read, batch in reads.items():
            events += self._read(read, batch)
        return events

    def _perform_one(
        self, driven: DrivenIntent, effect: messages.Effect
    ) -> chain_reads.Observations:
        """Perform one effect that is not a read. An intent that fails in it is set aside."""
        with bound(**driven.log_ids):
            return self._perform_bound(driven, effect)

    def _perform_bound(
        self, driven: DrivenIntent, effect: messages.Effect
    ) -> chain_reads.Observations:
        try:
            match effect:
                case messages.Simulate():
                    return [(driven, self._simulate(driven))]
                case messages.Sign(units=units):
                    return [(driven, self._sign(driven, units))]
                case messages.Send():
                    return self._send(driven)
                case messages.ReadAccount() | messages.ReadStatus() | messages.ReadHeight():
                    return self._read(effect, [driven])
                case _:
                    self._record(driven, effect)
        except Exception as error:
            if _concerns_all(error):
                raise
            self._put_aside(driven, error)
        return []

    def _read(self, read: messages.Effect, batch: list[DrivenIntent]) -> chain_reads.Observations:
        """Read for all intents at once. One whose result cannot be judged is set aside."""
        try:
            match read:
                case messages.ReadStatus(history=history):
                    return chain_reads.read_statuses(self._rpc, batch, history=history)
                case messages.ReadHeight():
                    return chain_reads.read_heights(self._rpc, batch)
                case _:
                    return chain_reads.read_accounts(self._rpc, self._settings.program, batch)
        except Exception as error:
            if _concerns_all(error):
                raise
            if len(batch) == 1:
                self._put_aside(batch[0], error)
                return []
        return [event for driven in batch for event in self._read(read, [driven])]

    def _put_aside(self, driven: DrivenIntent, error: Exception) -> None:
        """Drive the intent no further in this run, so that the others can go on; raise an alert.

        Its rows stay as they are: the next run starts where it stopped.
        """
        intent = driven.intent
        with bound(**driven.log_ids):
            _log.error("intent %d cannot be driven", intent.id, exc_info=error)
        self._set_aside.add(intent.id)
        driven.state = msgspec.structs.replace(driven.state, phase=machine.Phase.ENDED)
        reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]
        with self._engine.begin() as conn:
            alert_about(conn, intent, "high", "cannot be driven", reason)

    def _simulate(self, driven: DrivenIntent) -> messages.Event:
        signer = self._signers.of(driven.intent.action)
        if signer is None:
            return messages.Withheld("the key is missing")
        try:
            with intent_traces.step(driven, "simulation"):
                simulation = signing.simulate(
                    self._rpc, driven.intent, self._settings.program, signer.pubkey()
                )
        except chain_reads.NODE_ERRORS as error:
            return messages.Unreachable(str(error))
        return messages.Simulated(
            units=simulation.units or 0,
            error=signing.error_name(simulation),
            fault=transaction_fault(simulation.error),
        )

    def _sign(self, driven: DrivenIntent, units: int) -> messages.Event:
        if self._is_disabled(driven.intent.action):
            self._withheld.add(driven.intent.id)
            return messages.Withheld("submissions are switched off; simulated only")
        signer = self._signers.of(driven.intent.action)
        if signer is None:
            return messages.Unsigned("the key is missing")
        try:
            signed = signing.sign(
                self._rpc, driven.intent, self._settings, signer, used_units=units
            )
        except chain_reads.NODE_ERRORS as error:
            return messages.Unreachable(str(error))
        except (BuildError, SigningRefused) as error:
            return messages.Unsigned(str(error))
        with self._engine.begin() as conn:
            fence(conn, self._lease)
            spent = attempts.fees_since(conn, 3600)
            limit = self._settings.max_fees_per_hour_lamports
            if spent + signed.fee > limit:
                self._withheld.add(driven.intent.id)
                reason = f"the fees of the last hour are {spent} of at most {limit} lamports"
                raise_alert(conn, _FEES_ALERT, "high", reason)
                return messages.Withheld(reason)
            clear_alert(conn, _FEES_ALERT)
            driven.attempt = attempts.create(
                conn, self._lease, driven.intent, signed, run_id=self._run_id
            )
            if driven.attempt is None:
                return messages.Withheld("another attempt of this market is live")
            intents.update_open(conn, self._lease, driven.intent, "live")
        with bound(**driven.log_ids):
            _log.info("%s is signed, for %d lamports", driven.intent.action, signed.fee)
        return messages.Persisted(last_valid=signed.last_valid_block_height, now=time.monotonic())

    def _send(self, driven: DrivenIntent) -> chain_reads.Observations:
        if self._is_disabled(driven.intent.action):
            return []
        error = None
        try:
            with intent_traces.step(driven, "sending"):
                self._rpc.send(driven.live.transaction)
        except chain_reads.NODE_ERRORS as failure:
            error = str(failure)
        return [(driven, messages.Sent(error))]

    def _record(self, driven: DrivenIntent, effect: RecordEffect) -> None:
        cost = TransactionCost()
        if isinstance(effect, messages.Settle) and effect.attempt == "final":
            cost = transaction_cost(self._rpc, driven.live.signature)
        record(self._engine, self._lease, driven, effect, cost, self._policy)
        intent_traces.record_effect(self._engine, driven, effect)
        _log.info("%s: %s", driven.intent.action, type(effect).__name__)

    def _is_disabled(self, action: Action) -> bool:
        return action in self._disabled


def _concerns_all(error: Exception) -> bool:
    """Return whether an error ends the run, because it would meet every other intent too."""
    return isinstance(error, LeaseLost) or concerns_database(error)
