"""Definitions of jobs whose body leaves a trace of each tenth of a second that it runs."""

import os
import time
from pathlib import Path

import dagster as dg

TRACES = "SLOW_JOB_TRACES"
STEPS = 80  # of a tenth of a second


@dg.op
def leave_traces(context: dg.OpExecutionContext) -> None:
    """Append a line to a file of this run and process, ten times a second."""
    folder = Path(os.environ[TRACES]) / context.run_id
    folder.mkdir(exist_ok=True)
    trace = folder / str(os.getpid())
    for _ in range(STEPS):
        with trace.open("a") as file:
            file.write(f"{time.monotonic()}\n")
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def slow_job() -> None:
    """Run for eight seconds."""
    leave_traces()


# The fork server knows the lanes of the product's jobs, by name.
@dg.job(name="reconcile", executor_def=dg.in_process_executor)
def background_job() -> None:
    """Do the same under the name of a job of the background."""
    leave_traces()


defs = dg.Definitions(jobs=[slow_job, background_job])
