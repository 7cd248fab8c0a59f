"""Run workers forked from a warm process.

A run worker that starts with a fresh interpreter spends seconds of CPU on imports before the
run's first step. Here one *fork server* forks a worker for each run from the imported
definitions, so that a run still has a process of its own and Dagster's cancellation, crash
detection and compute logs work as usual.

The code server imports the definitions and forks the fork server before it starts any thread, so
that both share one import and its memory. The fork server must have one thread and no open
connection: nothing below may touch an engine, an RPC client or a gRPC channel before the fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import multiprocessing.context
import multiprocessing.resource_tracker
import os
import random
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import connection, forkserver, synchronize
from typing import Any

PRELOADED = "assets.run_worker_preload"
FORK_SERVER_NAME = "fork-server"  # as ps and top show it, at most 15 characters

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # <linux/prctl.h>


class RunWorker(multiprocessing.context.ForkServerProcess):
    """The process of one run."""

    def run(self) -> None:
        """Execute the run, after unsharing what the fork copied from the fork server."""
        end_with_parent()
        # Those of multiprocessing's BaseProcess, which its type stubs leave out.
        arguments = self._args  # type: ignore[attr-defined]
        lower_priority(arguments)
        bind_run(arguments)
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        with traced_run(arguments):
            super().run()


class TerminationEvent(synchronize.Event):
    """A multiprocessing event that can be set whatever became of those who wait for it.

    The ``set`` of multiprocessing's own event returns once all of them have woken up: never where a
    worker was killed, and not before a worker that stands still continues. The code server sets it
    under a lock that every start of a run takes.
    """

    def __init__(self, context: multiprocessing.context.BaseContext) -> None:
        """Make an event that is not set.

        Of the base class nothing is used but its type, for which Dagster asks.
        """
        # Whoever passes leaves it open for the next.
        self._gate = context.Semaphore(0)

    def is_set(self) -> bool:
        """Return whether the event is set."""
        return self.wait(0)

    def set(self) -> None:
        """Set the event; never waits."""
        self._gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, at most for so many seconds; return whether it is."""
        if not self._gate.acquire(timeout=timeout):
            return False
        self._gate.release()
        return True


class RunWorkerContext(multiprocessing.context.ForkServerContext):
    """The multiprocessing context whose processes are :class:`RunWorker`."""

    Process = RunWorker

    def Event(self) -> TerminationEvent:  # noqa: N802 - what Dagster calls
        """Return the event by which a run is canceled."""
        return TerminationEvent(self)


def lower_priority(arguments: Sequence[Any]) -> None:
    """Let a run of the background give way to the runs that submit.

    Args:
        arguments: Those of the function that the worker's process executes.
    """
    from assets.dagster_internals import job_of_worker
    from assets.run_lanes import LANES_BY_JOB, NICENESS

    lane = LANES_BY_JOB.get(job_of_worker(arguments))
    if lane is not None and lane in NICENESS:
        os.nice(NICENESS[lane])


def bind_run(arguments: Sequence[Any]) -> None:
    """Add the run's id to each line that the worker logs; arguments as for ``lower_priority``."""
    from assets.dagster_internals import run_of_worker
    from zmart_pipelines.structured_logs import bind

    bind(run_id=run_of_worker(arguments))


@contextlib.contextmanager
def traced_run(arguments: Sequence[Any]) -> Iterator[None]:
    """Export the spans of the run, and the run as the first of them, where traces are on."""
    from assets.dagster_internals import job_of_worker, run_of_worker
    from zmart_pipelines import tracing
    from zmart_pipelines.settings import settings

    tracing.configure_tracing(settings(), part="run")
    try:
        if tracing.is_on():
            run_id = run_of_worker(arguments)
            key = tracing.derive("run", run_id)
            with tracing.span("run", key=key, job=job_of_worker(arguments)):
                yield
        else:
            yield
    finally:
        tracing.shut_down()


def end_with_parent() -> None:
    """Have the kernel kill this process when the fork server dies.

    The code server reports a run whose fork server died as FAILURE at once. Without this the
    body of such a run would continue behind that status.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The fork server may have died before the call; its children then have another parent.
    if os.getppid() != parent or parent == 1:
        os._exit(1)


def start_fork_server() -> RunWorkerContext:
    """Import the definitions, fork the fork server and return the context of its workers.

    Call it before the process starts any thread. A fork server that dies later is replaced by
    multiprocessing itself, which starts a new interpreter with the same imports.
    """
    context = RunWorkerContext()
    context.set_forkserver_preload([PRELOADED])
    importlib.import_module(PRELOADED)
    _fork_fork_server()
    return context


def _fork_fork_server() -> None:
    """Do what ``ForkServer.ensure_running`` does, without a new interpreter.

    The attributes are private; ``tests/assets/test_run_workers.py`` notices when they move.
    """
    server: Any = forkserver._forkserver
    multiprocessing.resource_tracker.ensure_running()
    # Workers get the tracker's and the pipe's descriptors from their client.
    # The type stubs leave this function out.
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        # The code server holds the writing end; its death ends the fork server.
        alive_r, alive_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            _serve_forks(listener.detach(), alive_r, alive_w)
        os.close(alive_r)
    server._forkserver_address = address
    server._forkserver_alive_fd = alive_w
    server._forkserver_pid = pid


def _serve_forks(listener: int, alive_r: int, alive_w: int) -> None:
    """Be the fork server until its code server is gone."""
    code = 1
    try:
        os.close(alive_w)
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).prctl(_PR_SET_NAME, FORK_SERVER_NAME.encode())
        forkserver.main(listener, alive_r, [])
    except SystemExit:
        code = 0
    finally:
        os._exit(code)
