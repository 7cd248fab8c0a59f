"""Dagster's processes log as all others do (:mod:`zmart_pipelines.structured_logs`)."""

from __future__ import annotations

import logging

import dagster as dg
import uvicorn.config

from assets.dagster_internals import use_logs
from zmart_pipelines.settings import settings
from zmart_pipelines.structured_logs import configure_logs

RUN_LOGGER = "zmart.run"


def configure_dagster_logs(part: str) -> None:
    """Set up the logs of this process now, and keep Dagster and uvicorn from doing so later.

    Args:
        part: Name of the process.
    """
    configure_logs(settings(), part=part)

    def configure(level: str) -> None:
        # Dagster's own lines; what its command line allows of them.
        logging.getLogger("dagster").setLevel(level)

    use_logs(configure)
    # The default of uvicorn's option; its handlers would write beside ours.
    uvicorn.config.LOGGING_CONFIG.clear()
    uvicorn.config.LOGGING_CONFIG.update({"version": 1, "disable_existing_loggers": False})


def _logger_of_runs(_context: dg.InitLoggerContext) -> logging.Logger:
    return logging.getLogger(RUN_LOGGER)


run_logger = dg.LoggerDefinition(
    _logger_of_runs, description="The log of a run, besides Dagster's event log."
)
