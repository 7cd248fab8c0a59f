"""The driver of relayed transactions: it performs the machine's effects on nodes and rows.

One process drives the rows that it holds, all of them together: each round asks the nodes once for
all signatures. The API runs it for what it has just stored; a run of the pipelines goes on with the
rows of a process that has died. What is held in memory is only a copy of the rows: after any error
it is dropped, and read again.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.relay import machine, nodes, rows
from zmart_pipelines.relay.rows import HeldTransaction
from zmart_pipelines.store.engine import act_as_relay

# Rows that one process drives at a time; the others wait for their turn, the oldest first.
MAX_HELD: Final = 1_000
# Threads that send, so that a node that hangs does not hold up all transactions.
SENDERS: Final = 8

_RECORDED: TypeAlias = (
    machine.MarkSent
    | machine.MarkRefused
    | machine.MarkConfirmed
    | machine.MarkDropped
    | machine.Settle
)


# Called with a state that a transaction has reached, and the seconds since it was stored.
Observer: TypeAlias = Callable[[str, float], None]


@dataclass
class _Driven:
    """A held row, its state, and when it was stored, in this process's monotonic seconds."""

    row: HeldTransaction
    state: machine.RelayState
    stored: float


_Events: TypeAlias = list[tuple[_Driven, machine.Event]]
_Effects: TypeAlias = list[tuple[_Driven, machine.Effect]]


class RelayReport(msgspec.Struct, frozen=True):
    """What one drive did: transactions claimed, their ends by state, and those still open."""

    claimed: int
    ended: dict[str, int]
    still_open: int
    seconds: float


def resume(row: HeldTransaction, endpoints: int) -> machine.RelayState:
    """Return the state in which a stored transaction is driven on."""
    state = machine.RelayState(
        last_valid=row.last_valid_block_height, endpoints=endpoints, refusal=row.refusal
    )
    if row.state != "confirmed" or row.landed_slot is None:
        return state
    return msgspec.structs.replace(
        state, phase=machine.Phase.CONFIRMED, landed_slot=row.landed_slot
    )


class RelayDriver:
    """The rows that one process holds. Used from one thread; close it, which releases them."""

    def __init__(
        self,
        engine: Engine,
        rpc: RpcClient,
        *,
        lease_seconds: float,
        abandoned: float = 0.0,
        poll_seconds: float = machine.POLL_SECONDS,
        observe: Observer = lambda _state, _seconds: None,
    ) -> None:
        """Create the driver.

        Args:
            engine: Of a role that may drive the rows.
            rpc: The nodes.
            lease_seconds: For which a row is held without a sign of life.
            abandoned: Claim rows only that no process has held for so many seconds.
            poll_seconds: Between two questions to the nodes about everything that is held.
            observe: Called for each transaction that is confirmed or has come to its end, once
                that is committed.
        """
        self._observe = observe
        self._engine = engine
        self._rpc = rpc
        self._lease_seconds = lease_seconds
        self._abandoned = abandoned
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._driven: dict[bytes, _Driven] = {}
        self._has_forgotten = False
        self._poll_seconds = poll_seconds
        self._poll_at = 0.0
        self._renewed = time.monotonic()
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="relay-send")
        self.claimed = 0
        self.ended: dict[str, int] = {}

    @property
    def held(self) -> int:
        """How many transactions are held."""
        return len(self._driven)

    def close(self) -> None:
        """Release what is held and wait for the senders."""
        self._senders.shutdown()
        held = [driven.row for driven in self._driven.values()]
        self._driven.clear()
        if held:
            with self._engine.begin() as conn:
                act_as_relay(conn)
                rows.release(conn, held)

    def forget(self) -> None:
        """Drop the copies of the rows; they are claimed again with what is stored."""
        self._driven.clear()
        self._has_forgotten = True

    def round(self) -> int:
        """Claim what is due and send it; once in ``poll_seconds`` drive everything one step on.

        Returns:
            How many transactions are still held.
        """
        moving = self._claim()
        now = time.monotonic()
        if now >= self._poll_at:
            self._poll_at = now + self._poll_seconds
            moving = list(self._driven.values())
        events: _Events = [(driven, machine.Tick(now)) for driven in moving]
        while events:
            effects: _Effects = []
            for driven, event in events:
                driven.state, wanted = machine.step(driven.state, event)
                effects += [(driven, effect) for effect in wanted]
            events = self._perform(effects)
        return self.held

    def _claim(self) -> list[_Driven]:
        with self._engine.begin() as conn:
            act_as_relay(conn)
            if time.monotonic() - self._renewed > self._lease_seconds / 4:
                self._renew(conn)
            claimed = rows.claim(
                conn,
                self._holder,
                forgotten=self._has_forgotten,
                seconds=self._lease_seconds,
                abandoned=self._abandoned,
                number=MAX_HELD - self.held,
            )
        self._has_forgotten = False
        self.claimed += len(claimed)
        endpoints, now = len(self._rpc.endpoints), time.monotonic()
        added = {
            row.signature: _Driven(row, resume(row, endpoints), now - row.age) for row in claimed
        }
        self._driven |= added
        return list(added.values())

    def _renew(self, conn: Connection) -> None:
        held = [driven.row for driven in self._driven.values()]
        kept = rows.renew(conn, self._holder, held, self._lease_seconds) if held else set()
        self._driven = {
            signature: driven for signature, driven in self._driven.items() if signature in kept
        }
        self._renewed = time.monotonic()

    def _perform(self, effects: _Effects) -> _Events:
        """Record what was seen, then send, then read for all transactions at once."""
        self._record(effects)
        sending = [driven for driven, effect in effects if isinstance(effect, machine.Send)]
        events: _Events = list(zip(sending, self._senders.map(self._send, sending), strict=True))
        if any(isinstance(effect, machine.ReadHeight) for _, effect in effects):
            heights = list(nodes.read_heights(self._rpc))
            events += [
                (driven, height)
                for driven, effect in effects
                if isinstance(effect, machine.ReadHeight)
                for height in heights
            ]
        for history in (False, True):
            read = machine.ReadStatus(history)
            events += self._statuses([d for d, effect in effects if effect == read], history)
        return events

    def _send(self, driven: _Driven) -> machine.Sent:
        return nodes.send(self._rpc, driven.row.transaction)

    def _statuses(self, wanted: Iterable[_Driven], history: bool) -> _Events:
        by_signature = {driven.row.signature: driven for driven in wanted}
        if not by_signature:
            return []
        signatures = list(by_signature)
        answers = nodes.read_statuses(self._rpc, signatures, history=history)
        if history:
            self._add_ledger(signatures, answers)
        return [
            (by_signature[signature], event)
            for signature, event in nodes.observations(answers, history=history)
        ]

    def _add_ledger(
        self, signatures: list[bytes], answers: dict[bytes, list[machine.NodeAnswer]]
    ) -> None:
        """Add what the ledger has read at finalized: nodes may not keep so old a history."""
        with self._engine.connect() as conn:
            readings = rows.finalized_readings(conn, signatures)
        for reading in readings:
            landed = machine.Landed(reading.slot, finalized=True, error=reading.error)
            answers.setdefault(reading.signature, []).append(
                machine.NodeAnswer(reading.slot, landed)
            )

    def _record(self, effects: _Effects) -> None:
        changes = [(driven, one) for driven, one in effects if isinstance(one, _RECORDED)]
        if not changes:
            return
        with self._engine.begin() as conn:
            act_as_relay(conn)
            kept = _record_all(conn, [(driven.row, effect) for driven, effect in changes])
        for driven, effect in changes:
            if driven.row.signature not in kept:
                self._driven.pop(driven.row.signature, None)
            elif isinstance(effect, machine.MarkConfirmed):
                self._observe("confirmed", time.monotonic() - driven.stored)
            elif isinstance(effect, machine.Settle):
                del self._driven[driven.row.signature]
                self.ended[effect.outcome] = self.ended.get(effect.outcome, 0) + 1
                self._observe(effect.outcome, time.monotonic() - driven.stored)


def _record_all(
    conn: Connection, changes: Sequence[tuple[HeldTransaction, _RECORDED]]
) -> set[bytes]:
    """Record changes with a statement for each kind; return the signatures that are still held.

    A step of a transaction is at most one answer to its sending, and after it one status.
    """
    kept: set[bytes] = set()
    kept |= rows.record_sent(
        conn, [row for row, one in changes if isinstance(one, machine.MarkSent)]
    )
    kept |= rows.record_refused(
        conn,
        [
            rows.Refused(row, one.reason)
            for row, one in changes
            if isinstance(one, machine.MarkRefused)
        ],
    )
    kept |= rows.record_dropped(
        conn, [row for row, one in changes if isinstance(one, machine.MarkDropped)]
    )
    kept |= rows.record_confirmed(
        conn,
        [
            rows.Confirmed(row, one.slot)
            for row, one in changes
            if isinstance(one, machine.MarkConfirmed)
        ],
    )
    kept |= rows.record_ends(
        conn,
        [
            rows.End(row, one.outcome, one.slot, one.error)
            for row, one in changes
            if isinstance(one, machine.Settle)
        ],
    )
    return kept


def drive_abandoned(
    engine: Engine, rpc: RpcClient, *, lease_seconds: float, abandoned: float, seconds: float
) -> RelayReport:
    """Drive the transactions that no process holds to their ends, for at most ``seconds``."""
    started = time.monotonic()
    driver = RelayDriver(engine, rpc, lease_seconds=lease_seconds, abandoned=abandoned)
    try:
        while driver.round() and time.monotonic() - started < seconds:
            time.sleep(machine.POLL_SECONDS)
        return RelayReport(driver.claimed, driver.ended, driver.held, time.monotonic() - started)
    finally:
        driver.close()
