"""Submitters as processes of their own, that die or stop at a given point.

The production ``drive`` runs unchanged; what it is given is wired: the RPC client and the
database's engine report each point that they pass, and one of them can be fatal.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import Engine, event

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions import driver, machine, signing
from zmart_pipelines.submissions import lease as leases
from zmart_pipelines.submissions.reports import DriveReport
from zmart_pipelines.submissions.signers import load_signers
from zmart_pipelines.submissions.statuses import ACTIONS, Action

# What a submitter passes on its way, in order; each of them is one side of a write to the
# database or to the chain.
Point = Literal[
    "planned",  # the intent is stored, nothing was done about it
    "simulated",  # and nothing is signed
    "signed",  # the attempt is written, its transaction is not committed
    "stored",  # committed, nothing has left
    "sent",  # a node has it, that is not recorded
    "landing",  # seen in a confirmed block, that is not recorded
    "landed",  # recorded, not final
    "final",  # seen at finalized, that is not recorded
]

# Reported after each read of the markets' accounts.
_ACCOUNT_READ = "account read"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "psycopg", "httpcore", "tests.submissions.submitters"])
# Processes of several threads: multiprocessing keeps its list of them unguarded.
_processes = threading.RLock()


@dataclass(frozen=True)
class Orders:
    """How a submitter is to go about it.

    ``point``: where ``fate`` strikes, once. ``send_first``: the wrong order, a control.
    """

    database: str
    rpc_url: str
    state: Path
    lease: float
    point: Point | None = None
    fate: signal.Signals = signal.SIGKILL
    send_first: bool = False
    seconds: float = 20.0
    stall: float = leases.STALL_SECONDS
    actions: tuple[Action, ...] = ACTIONS


class Submitter:
    """One run of ``drive`` in a process of its own."""

    def __init__(self, orders: Orders) -> None:
        self.passed: list[Point] = []
        self.account_reads = 0
        self.killed = False
        self.report: DriveReport | None = None
        self._pipe, theirs = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(orders, theirs))
        with _processes:
            self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def over(self) -> bool:
        """Takes in what the process has said; whether it has ended."""
        with _processes:
            running = self._process.is_alive()
        try:
            while self._pipe.poll():
                said = self._pipe.recv()
                if isinstance(said, DriveReport):
                    self.report = said
                elif said == _ACCOUNT_READ:
                    self.account_reads += 1
                else:
                    self.passed.append(said)
        except EOFError:
            pass
        self.killed = self._process.exitcode == -signal.SIGKILL
        return not running

    def stopped(self) -> bool:
        """Whether it stands still by SIGSTOP."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        with _processes:
            if self._process.is_alive():
                self._process.kill()
            self._process.join()
            self._process.close()
        self._pipe.close()


class _Wire:
    """Tells the points that are passed and strikes at one of them."""

    def __init__(self, orders: Orders, pipe: Pipe) -> None:
        self._orders = orders
        self._pipe = pipe
        self._struck = False
        self._recorded: str | None = None

    def __call__(self, point: Point) -> None:
        self._pipe.send(point)
        if point == self._orders.point and not self._struck:
            self._struck = True
            os.kill(os.getpid(), self._orders.fate)

    def rpc(self, client: RpcClient) -> RpcClient:
        """The client, with a word before and after each call."""
        return cast(RpcClient, _WiredRpc(client, self))

    def before(self, method: str) -> None:
        if self._recorded is not None:
            self._recorded = None
            self("landed")
        if method == "simulate":
            self("planned")
        if method == "send":
            self("stored")

    def after(self, method: str) -> None:
        if method == "simulate":
            self("simulated")
        if method == "send":
            self("sent")
        if method == "accounts":
            self._pipe.send(_ACCOUNT_READ)

    def engine(self, made: Engine) -> None:
        """Listens to what is written to the table of attempts."""

        @event.listens_for(made, "before_cursor_execute")
        def before(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.startswith("UPDATE ops.attempts"):
                status = parameters.get("status")
                if status == "landed":
                    self("landing")
                    self._recorded = status
                if status == "final":
                    self("final")

        @event.listens_for(made, "after_cursor_execute")
        def after(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("INSERT INTO ops.attempts"):
                self("signed")


class _WiredRpc:
    def __init__(self, client: RpcClient, wire: _Wire) -> None:
        self._client = client
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._wire.before(name)
            answer = method(*args, **kwargs)
            self._wire.after(name)
            return answer

        return call


def _send_first(rpc: RpcClient) -> Callable[..., signing.SignedTransaction]:
    """The wrong order: what is signed leaves before it is stored."""
    sign = signing.sign

    def sign_and_send(*args: Any, **kwargs: Any) -> signing.SignedTransaction:
        signed = sign(*args, **kwargs)
        rpc.send(signed.transaction)
        return signed

    return sign_and_send


def _run(orders: Orders, pipe: Pipe) -> None:
    # Times are shorter here, so that a case lasts a second and not a minute.
    machine.POLL_SECONDS = 0.02
    machine.RESEND_SECONDS = 0.1
    machine.FIRST_PAUSE = 0.05
    leases.STALL_SECONDS = orders.stall
    settings = Settings(
        solana_rpc_url=orders.rpc_url,
        admin_keypair=orders.state / "keys" / "admin.json",
        backend_authority_keypair=orders.state / "keys" / "backend.json",
    ).model_copy(update={"submission_lease_seconds": orders.lease})
    wire = _Wire(orders, pipe)
    client = RpcClient(orders.rpc_url, 10)
    rpc = wire.rpc(client)
    if orders.send_first:
        signing.sign = _send_first(client)
    pool = role_engine(Role.PIPELINES, orders.database)
    wire.engine(pool)
    report = driver.drive(
        pool,
        rpc,
        AccountReader(client, settings.program),
        load_signers(settings),
        settings,
        actions=orders.actions,
        run_id=f"process {os.getpid()}",
        seconds=orders.seconds,
    )
    pipe.send(report)
    client.close()
    pool.dispose()


def wait_until(condition: Callable[[], bool], seconds: float, meanwhile: Callable[[], Any]) -> bool:
    """Return whether the condition became true in time; call ``meanwhile`` between two checks."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        meanwhile()
        time.sleep(0.02)
    return True
