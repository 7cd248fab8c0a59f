"""Definitions with one job whose body leaves a trace of each second that it runs."""

import os
import time
from pathlib import Path

import dagster as dg

TRACES = "SLOW_JOB_TRACES"
SECONDS = 8


@dg.op
def leave_traces(context: dg.OpExecutionContext) -> None:
    """Append a line to a file of this run and process, ten times a second."""
    folder = Path(os.environ[TRACES]) / context.run_id
    folder.mkdir(exist_ok=True)
    trace = folder / str(os.getpid())
    for _ in range(10 * SECONDS):
        with trace.open("a") as file:
            file.write(f"{time.monotonic()}\n")
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def slow_job() -> None:
    """Run for ``SECONDS``."""
    leave_traces()


defs = dg.Definitions(jobs=[slow_job])
