"""Dagster's code server, changed where it starts a run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import grpc

from assets.dagster_internals import (
    CLEANUP_TICK,
    DagsterApiServer,
    StartRunReply,
    StartRunRequest,
    run_started_before,
    serve_with,
    started_run_id,
    use_run_workers,
)
from assets.resources import Backend
from assets.run_workers import RunWorkerContext
from zmart_pipelines.monitoring.run_claims import claim_run
from zmart_pipelines.store.engine import Role

log = logging.getLogger(__name__)

Claim = Callable[[str], bool]

# Between two searches for dead workers while the first could not be reported.
RETRY_SECONDS = 5.0


class ForkingApiServer(DagsterApiServer):
    """A servicer that forks run workers and executes each run once."""

    run_workers: RunWorkerContext
    claim: Claim

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take the options of ``DagsterApiServer``."""
        super().__init__(*args, **options)
        use_run_workers(self, self.run_workers)

    def _cleanup_thread(self) -> None:
        """Report run workers that died, until the server ends.

        Dagster's own loop ends with its first failure, such as a Postgres that is restarted: from
        then on no crash would be reported, and a run that has no process could still be canceled.
        """
        pause = CLEANUP_TICK
        while not self._server_termination_event.wait(pause):
            try:
                self._check_for_orphaned_runs()
                pause = CLEANUP_TICK
            except Exception as error:
                log.warning("cannot look for dead run workers yet: %s", type(error).__name__)
                pause = RETRY_SECONDS

    def StartRun(  # noqa: N802 - the name of the gRPC method
        self, request: StartRunRequest, context: grpc.ServicerContext
    ) -> StartRunReply:
        """Start a run's worker, unless this or another code server has started it before.

        A repeated delivery answers that the run was started: reporting a failure
        would mark the run that is being executed as failed.
        """
        run_id = started_run_id(request)
        if not self.claim(run_id):
            log.warning("run %s was started before; not again", run_id)
            return run_started_before()
        return super().StartRun(request, context)


def serve(run_workers: RunWorkerContext) -> None:
    """Serve until stopped, with the options of ``dagster api grpc`` from the command line."""
    backend = Backend()

    def claim(run_id: str) -> bool:
        with backend.engine(Role.PIPELINES).begin() as conn:
            return claim_run(conn, run_id)

    ForkingApiServer.run_workers = run_workers
    ForkingApiServer.claim = staticmethod(claim)
    serve_with(ForkingApiServer, sys.argv[1:], "python -m assets.code_server")
