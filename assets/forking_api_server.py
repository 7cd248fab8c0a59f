"""Dagster's code server, changed where it starts a run.

Dagster fixes how run workers start and offers no setting for it, so this module replaces a
private attribute of the servicer; ``tests/assets/test_run_workers.py`` notices when it moves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import grpc
from dagster._cli.api import api_cli
from dagster._grpc import server as dagster_server
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.types import ExecuteExternalJobArgs, StartRunResult
from dagster_shared.serdes import deserialize_value, serialize_value

from assets.resources import Backend
from assets.run_workers import RunWorkerContext
from zmart_pipelines.monitoring.run_claims import claim_run
from zmart_pipelines.store.engine import Role

Claim = Callable[[str], bool]


class ForkingApiServer(dagster_server.DagsterApiServer):
    """A servicer that forks run workers and executes each run once."""

    run_workers: RunWorkerContext
    claim: Claim

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take the options of ``DagsterApiServer``."""
        super().__init__(*args, **options)
        if not hasattr(self, "_mp_ctx"):
            raise RuntimeError(
                "this version of Dagster starts run workers in another way than"
                " DagsterApiServer._mp_ctx; adapt assets/forking_api_server.py"
            )
        self._mp_ctx = self.run_workers  # type: ignore[assignment]

    def StartRun(  # noqa: N802 - the name of the gRPC method
        self, request: dagster_api_pb2.StartRunRequest, context: grpc.ServicerContext
    ) -> dagster_api_pb2.StartRunReply:
        """Start a run's worker, unless this or another code server has started it before.

        A repeated delivery answers that the run was started: reporting a failure
        would mark the run that is being executed as failed.
        """
        arguments = deserialize_value(request.serialized_execute_run_args, ExecuteExternalJobArgs)
        if not self.claim(arguments.run_id):
            self._logger.warning("run %s was started before; not again", arguments.run_id)
            result = StartRunResult(
                success=True, message="already started", serializable_error_info=None
            )
            return dagster_api_pb2.StartRunReply(
                serialized_start_run_result=serialize_value(result)
            )
        return super().StartRun(request, context)


def serve(run_workers: RunWorkerContext) -> None:
    """Serve until stopped, with the options of ``dagster api grpc`` from the command line."""
    backend = Backend()

    def claim(run_id: str) -> bool:
        with backend.engine(Role.PIPELINES).begin() as conn:
            return claim_run(conn, run_id)

    ForkingApiServer.run_workers = run_workers
    ForkingApiServer.claim = staticmethod(claim)
    # The command looks the class up when it runs.
    dagster_server.DagsterApiServer = ForkingApiServer  # type: ignore[misc]
    api_cli(["grpc", *sys.argv[1:]], prog_name="python -m assets.code_server")
