"""Run workers forked from a warm process.

A run worker that starts with a fresh interpreter spends seconds of CPU on imports before the
run's first step. Here one *fork server* imports the definitions once and forks a worker for
each run, so that a run still has a process of its own and Dagster's cancellation, crash
detection and compute logs work as usual.

The fork server must have one thread and no open connection: nothing below may touch an engine,
an RPC client or a gRPC channel before the fork.
"""

from __future__ import annotations

import ctypes
import multiprocessing.context
import multiprocessing.forkserver
import os
import random
import signal
import sys

PRELOADED = "assets.run_worker_preload"

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class RunWorker(multiprocessing.context.ForkServerProcess):
    """The process of one run."""

    def run(self) -> None:
        """Execute the run, after unsharing what the fork copied from the fork server."""
        end_with_parent()
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        super().run()


class RunWorkerContext(multiprocessing.context.ForkServerContext):
    """The multiprocessing context whose processes are :class:`RunWorker`."""

    Process = RunWorker


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
    """Start the fork server and return the context whose workers it forks.

    Call it before the process starts any thread: the fork server inherits this process.
    """
    context = RunWorkerContext()
    context.set_forkserver_preload([PRELOADED])
    multiprocessing.forkserver.ensure_running()
    return context
