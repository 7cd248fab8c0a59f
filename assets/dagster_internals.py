"""Every private name of Dagster that the code location uses, and why there is no public one.

Dagster may move these in any release. ``tests/assets/test_dagster_internals.py`` fails when a
name is gone, when the installed release is not the one they were checked with, or when a private
name is used elsewhere. Tests have a file of their own, ``tests/assets/dagster_internals.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._cli.api import api_cli
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    TickData,
    TickStatus,
)
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)
from dagster._grpc import server as api_server_module
from dagster._grpc.__generated__.dagster_api_pb2 import StartRunReply, StartRunRequest
from dagster._grpc.server import CLEANUP_TICK, DagsterApiServer
from dagster._grpc.types import ExecuteExternalJobArgs, StartRunResult
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresScheduleStorage
from dagster_postgres.utils import pg_url_from_config
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.serdes import deserialize_value, serialize_value
from sqlalchemy import Engine

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CHECKED_WITH = "1.13.27"

__all__ = [
    "CHECKED_WITH",
    "CLEANUP_TICK",
    "RUN_WORKER_MODULES",
    "ConfigurableClassData",
    "DagsterApiServer",
    "InstigatorState",
    "InstigatorTick",
    "SerializableErrorInfo",
    "StartRunReply",
    "StartRunRequest",
    "SubmitRunContext",
    "TickData",
    "TickStatus",
    "UnresolvedAssetJobDefinition",
    "coordinator_instance",
    "is_sensor_tick",
    "job_of_worker",
    "partition_range_tags",
    "pg_url_from_config",
    "remember_schema",
    "run_daemon",
    "run_of_worker",
    "run_started_before",
    "run_webserver",
    "serialize_value",
    "serve_with",
    "started_run_id",
    "storage_engine",
    "use_engine",
    "use_logs",
    "use_run_workers",
    "use_schedule_storage",
    "version_tags",
]

# Modules that Dagster imports only when a run starts.
RUN_WORKER_MODULES = (
    "dagster._cli.api",
    "dagster._core.execution.api",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._grpc.impl",
    "dagster._grpc.server",
)


def version_tags(version: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return tags by which a materialization says what it was made from.

    Dagster sets them itself for materializations of runs, but ``AssetMaterialization``, which a
    sensor reports, has no public argument for the versions of its inputs. Without the tags Dagster
    compares times, and shows tables as out of date each time their source was merely read again.

    Args:
        version: Data version of what was materialized.
        inputs: Data versions of the assets it was made from, by key.
    """
    return {
        CODE_VERSION_TAG: "reported",
        DATA_VERSION_TAG: version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **{f"{INPUT_DATA_VERSION_TAG_PREFIX}/{name}": value for name, value in inputs.items()},
        **{f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{name}": NULL_EVENT_POINTER for name in inputs},
    }


def partition_range_tags(first: str, last: str) -> dict[str, str]:
    """Return tags of a run over a range of partitions, for which RunRequest has no argument.

    Args:
        first: First partition key, in the order in which the keys were added.
        last: Last partition key, inclusive.
    """
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def use_engine(storage: DagsterPostgresStorage, engine: Engine) -> None:
    """Make the three storages of Dagster use ``engine``; there is no setting for a pool."""
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part._engine = engine  # type: ignore[union-attr]  # each class has this private attribute


def use_schedule_storage(
    storage: DagsterPostgresStorage, kind: type[PostgresScheduleStorage]
) -> None:
    """Make the storage of schedules and sensors a subclass of what it is.

    A second storage would open connections and look for its tables, with each run.
    """
    storage.schedule_storage.__class__ = kind


def is_sensor_tick(tick: TickData) -> bool:
    """Return whether a tick is a sensor's."""
    return tick.instigator_type is InstigatorType.SENSOR


def storage_engine(instance: dg.DagsterInstance) -> Engine:
    """Return the engine of Dagster's own tables, for which Dagster has no retention."""
    storage: Any = instance.event_log_storage
    engine: Engine = storage._engine
    return engine


def remember_schema(storage: DagsterPostgresStorage, built: set[str]) -> None:
    """Answer from memory what Dagster otherwise asks of the catalogue at every access.

    With each read and write of a sensor's state Dagster lists the tables of the schema and looks
    up which data migrations were made. That is more than half of its statements here, and the
    answers cannot change under a running release.

    Args:
        storage: Storage whose tables are those of the installed release.
        built: Names of migrations known to be made, shared by the storages of one database; it
            grows with each one that is found.
    """
    schedules: Any = storage.schedule_storage
    schedules.has_instigators_table = lambda: True
    schedules._has_instigators_table = lambda conn: True
    schedules.has_secondary_index_table = lambda: True
    schedules.has_built_index = _remembered(schedules.has_built_index, built)
    runs: Any = storage.run_storage
    runs.has_built_index = _remembered(runs.has_built_index, built)
    events: Any = storage.event_log_storage
    events.has_secondary_index = _remembered(events.has_secondary_index, built)


def _remembered(is_built: Callable[[str], bool], built: set[str]) -> Callable[[str], bool]:
    def answer(name: str) -> bool:
        if name not in built and is_built(name):
            built.add(name)
        return name in built

    return answer


def run_webserver(guard: Callable[[ASGIApp], ASGIApp]) -> None:
    """Run ``dagster-webserver`` with its command line, its application wrapped by ``guard``.

    The command has no option for a middleware. It looks up the function that makes the
    application in its own module, which is where it is replaced.
    """
    # Imported here, because only the webserver needs it.
    cli: Any = import_module("dagster_webserver.cli")
    create: Callable[..., ASGIApp] = cli.create_app_from_workspace_process_context

    def create_guarded(*args: Any, **options: Any) -> ASGIApp:
        return guard(create(*args, **options))

    cli.create_app_from_workspace_process_context = create_guarded
    cli.main()


def run_daemon(arguments: list[str], program: str) -> None:
    """Run ``dagster-daemon`` with these arguments; its command has no public name."""
    cli: Any = import_module("dagster._daemon.cli")
    cli.create_dagster_daemon_cli()(arguments, prog_name=program)


# Where the commands look up the function that sets up their logs.
# What gives runs the loggers that they have without a configuration.
RUN_LOGS = ("dagster._core.execution.context_creation_job", "dagster._core.execution.host_mode")
TICK_LOGS = "dagster._core.definitions.instigation_logger"
TICK_LOGGER = "zmart.tick"
SETTING_UP_LOGS = ("dagster._cli.api", "dagster._daemon.controller", "dagster_webserver.cli")


def use_logs(configure: Callable[[str], None]) -> None:
    """Make Dagster's commands set up their logs by ``configure``, which is given the least level.

    They have no option for a handler, and each looks the function up in its own module.
    """

    def configure_loggers(*, log_level: str, **_: object) -> None:
        configure(log_level)

    for name in SETTING_UP_LOGS:
        module: Any = import_module(name)
        module.configure_loggers = configure_loggers
    # What a sensor or a schedule logs; its own handler would write lines of another form.
    ticks: Any = import_module(TICK_LOGS)
    ticks.create_console_logger = lambda *_: logging.getLogger(TICK_LOGGER)


def use_run_logger(logger: dg.LoggerDefinition) -> None:
    """Make runs log by ``logger``; Dagster asks for a logger's name in each run's configuration.

    Without one it adds a handler of its own, whose lines have another form.
    """
    for name in RUN_LOGS:
        module: Any = import_module(name)
        module.default_system_loggers = lambda _instance: [(logger, {})]


def coordinator_instance(coordinator: dg.QueuedRunCoordinator) -> dg.DagsterInstance:
    """Return the instance of a run coordinator, which has no public name there."""
    return coordinator._instance


def use_run_workers(server: DagsterApiServer, run_workers: BaseContext) -> None:
    """Make a servicer start the processes of runs with ``run_workers``; there is no setting.

    Raises:
        RuntimeError: This release of Dagster starts them in another way.
    """
    if not all(hasattr(server, name) for name in ("_mp_ctx", "_cleanup_thread")):
        raise RuntimeError(
            "this release of Dagster starts run workers in another way than"
            " DagsterApiServer._mp_ctx and looks for dead ones in another way than"
            " DagsterApiServer._cleanup_thread; adapt assets/dagster_internals.py"
        )
    server._mp_ctx = run_workers  # type: ignore[assignment]  # provides Process and Event alone


def started_run_id(request: StartRunRequest) -> str:
    """Return the ID of the run that a request to start a run is about."""
    run_id: str = deserialize_value(
        request.serialized_execute_run_args, ExecuteExternalJobArgs
    ).run_id
    return run_id


def job_of_worker(arguments: Sequence[Any]) -> str:
    """Return the name of the job whose run a worker executes.

    Args:
        arguments: Those of the function that the worker's process executes.
    """
    name: str = arguments[1].job_name
    return name


def run_of_worker(arguments: Sequence[Any]) -> str:
    """Return the id of the run that a worker executes; arguments as for ``job_of_worker``."""
    run_id: str = deserialize_value(arguments[0], ExecuteExternalJobArgs).run_id
    return run_id


def run_started_before() -> StartRunReply:
    """Return the successful answer to a request for a run that is already being executed."""
    result = StartRunResult(success=True, message="already started", serializable_error_info=None)
    return StartRunReply(serialized_start_run_result=serialize_value(result))


def serve_with(servicer: type[DagsterApiServer], arguments: list[str], program: str) -> None:
    """Run ``dagster api grpc`` with another servicer until it is stopped.

    Args:
        servicer: Class that the command creates in place of ``DagsterApiServer``.
        arguments: Options of the command.
        program: Name of the command in its help and errors.
    """
    # The command looks the class up when it runs.
    api_server_module.DagsterApiServer = servicer  # type: ignore[misc]  # a class is replaced
    api_cli(["grpc", *arguments], prog_name=program)
