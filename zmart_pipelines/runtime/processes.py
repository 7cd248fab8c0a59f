"""The processes that ``zmart up`` runs, with their order and environment."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from zmart_pipelines.chain.jsonrpc import label
from zmart_pipelines.runtime import leftover_processes, readiness
from zmart_pipelines.runtime.embedded_services import Embedded
from zmart_pipelines.runtime.ports import Port
from zmart_pipelines.runtime.postgres import STOP_SIGNAL, PostgresError, PostgresServer
from zmart_pipelines.runtime.process_environment import dagster_database, process_environment
from zmart_pipelines.runtime.redis import RedisServer
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import Process
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, libpq_url, login_url

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"  # the configuration of Dagster in a running system
LOOPBACK = "127.0.0.1"
EXIT_UNKNOWN_SCHEMA, EXIT_LOGINS_MISSING = 5, 6  # of zmart migrate


@dataclass(frozen=True)
class System:
    """A planned system: its processes in order, their settings, and its addresses."""

    settings: Settings
    processes: tuple[Process, ...]
    addresses: Mapping[str, str]
    server_homes: tuple[Path, ...]


def plan(
    settings: Settings, state: StateFolder, *, demo: bool = True, restoring: bool = False
) -> System:
    """Return the processes for these settings; start nothing.

    Args:
        settings: As given.
        state: The state folder.
        demo: Whether the demo runs; it does on the local chain alone.
        restoring: Whether an empty cluster may take the place of one whose log is archived.

    Raises:
        PostgresError: there are no usable Postgres binaries.
        RedisNotFound: there is no Redis program.
    """
    embedded = Embedded.choose(settings, state)
    settings = embedded.settings
    processes: list[Process] = []
    if embedded.postgres is not None:
        guarded = None if restoring else settings.wal_archive_folder
        ports = process_ports(settings)["postgres"]
        processes.append(_postgres(embedded.postgres, ports, guarded))
    if embedded.redis is not None:
        processes.append(_redis(embedded.redis, process_ports(settings)["redis"]))
    after = _names(processes, "postgres")
    if settings.database_url_wal is not None:
        processes.append(_wal_archive(settings, after))
    processes.append(_migrate(settings, after, owns_cluster=embedded.postgres is not None))
    if embedded.localnet is not None:
        processes.append(_localnet(settings, embedded.localnet))
    base = _names(processes, "migrate", "redis", "localnet")
    processes += _api(settings, after=base)
    processes += _dagster(settings, state, after=base)
    processes.append(_watchdog(settings, after=_names(processes, "migrate")))
    if settings.metrics_port:
        processes.append(_exporter(settings, after=_names(processes, "migrate")))
    if embedded.localnet is not None and demo:
        processes.append(_demo(settings))
    addresses = {
        "API": f"{api_url(settings)}/docs",
        "Dagster": dagster_url(settings),
        "RPC": ", ".join(label(url) for url in settings.rpc_urls),
    }
    if settings.metrics_port:
        addresses["metrics"] = metrics_url(settings)
    server_homes = (embedded.postgres.home,) if embedded.postgres is not None else ()
    return System(settings, tuple(processes), addresses, server_homes)


def process_ports(settings: Settings) -> dict[str, tuple[Port, ...]]:
    """Return the ports that each process listens on, by the process's name."""
    return {
        "postgres": (Port(settings.postgres_port, "POSTGRES_PORT", "the embedded Postgres"),),
        "redis": (Port(settings.redis_port, "REDIS_PORT", "the embedded Redis"),),
        "localnet": (
            Port(settings.localnet_port, "LOCALNET_PORT", "the local chain"),
            Port(settings.localnet_port + 1, "LOCALNET_PORT", "the local chain's WebSocket"),
        ),
        "api": (
            Port(settings.api_port, "API_PORT", "the API", settings.api_host),
            Port(settings.ws_port, "WS_PORT", "the API's WebSocket", settings.api_host),
            *_metrics_ports(settings, range(1, settings.api_processes + 1), "the API's metrics"),
        ),
        "exporter": _metrics_ports(settings, range(1), "the exporter's metrics"),
        "code-server": (
            Port(settings.code_server_port, "CODE_SERVER_PORT", "Dagster's code server"),
        ),
        "webserver": (
            Port(settings.dagster_port, "DAGSTER_PORT", "the Dagster UI", settings.dagster_host),
        ),
    }


def _metrics_ports(settings: Settings, offsets: Iterable[int], owner: str) -> tuple[Port, ...]:
    if not settings.metrics_port:
        return ()
    return tuple(
        Port(settings.metrics_port + offset, "METRICS_PORT", owner, settings.metrics_host)
        for offset in offsets
    )


def metrics_url(settings: Settings) -> str:
    """Return the URL of the exporter's metrics on this machine."""
    return f"http://{_reachable(settings.metrics_host)}:{settings.metrics_port}/metrics"


def api_url(settings: Settings) -> str:
    """Return the API's URL on this machine."""
    return f"http://{_reachable(settings.api_host)}:{settings.api_port}"


def dagster_url(settings: Settings) -> str:
    """Return the Dagster UI's URL on this machine."""
    return f"http://{_reachable(settings.dagster_host)}:{settings.dagster_port}"


def _reachable(host: str) -> str:
    return {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, host)  # noqa: S104


def _names(processes: list[Process], *wanted: str) -> tuple[str, ...]:
    planned = {process.name for process in processes}
    return tuple(name for name in wanted if name in planned)


# Recovery after a crash replays the write-ahead log and syncs every file.
_RECOVERY_SECONDS: Final = 900.0


def _postgres(server: PostgresServer, ports: tuple[Port, ...], archive: Path | None) -> Process:
    def prepare() -> None:
        if archive is not None:
            _refuse_to_replace(server, archive)
        # The backends of a server that was killed keep its shared memory until they have ended,
        # and without it no server starts.
        leftover_processes.kill(leftover_processes.servers_in(server.home))
        server.prepare()

    return Process(
        name="postgres",
        command=server.command(),
        environment=server.environment(),
        folder=server.home,
        prepare=prepare,
        ready=readiness.call(server.answers),
        ready_within=_RECOVERY_SECONDS,
        when_ready=server.ensure_role_and_database,
        account=server.account,
        stop_signal=STOP_SIGNAL,
        stop_within=6,
        stops_last=True,
        ports=ports,
    )


def _refuse_to_replace(server: PostgresServer, archive: Path) -> None:
    """Refuse an empty cluster in the place of one that was lost and can be restored.

    Raises:
        PostgresError: The cluster's folder is missing, its archived log is not.
    """
    if (server.data / "PG_VERSION").exists() or not any(archive.glob("*/base/*/base.json")):
        return
    raise PostgresError(
        f"the database's folder {server.data} is missing, but {archive} has its archived log: run"
        " zmart restore --at latest, or zmart reset to start from empty"
    )


def _wal_archive(settings: Settings, after: tuple[str, ...]) -> Process:
    return Process(
        name="wal-archive",
        command=(sys.executable, "-m", "zmart_pipelines.backup.archiver"),
        environment=process_environment("wal-archive", settings),
        folder=PROJECT,
        needs=after,
        # Nothing waits for it: what it has not received yet, the server keeps for it.
        ready=readiness.call(lambda: True),
        stop_within=5,
        stops_last=True,
    )


def _redis(server: RedisServer, ports: tuple[Port, ...]) -> Process:
    return Process(
        name="redis",
        command=server.command(),
        environment={"PATH": os.defpath},
        folder=PROJECT,
        prepare=server.prepare,
        ready=readiness.call(server.answers),
        stop_within=3,
        stops_last=True,
        ports=ports,
    )


def _migrate(settings: Settings, after: tuple[str, ...], *, owns_cluster: bool) -> Process:
    # The roles of an embedded cluster are ours alone: their passwords are those of our secrets.
    options = ("--reset-logins",) if owns_cluster else ()
    return Process(
        name="migrate",
        command=(sys.executable, "-m", "zmart_pipelines.cli", "migrate", *options),
        environment=process_environment("migrate", settings),
        folder=PROJECT,
        needs=after,
        once=True,
        fatal_codes=frozenset({EXIT_UNKNOWN_SCHEMA, EXIT_LOGINS_MISSING}),
    )


def _localnet(settings: Settings, folder: Path) -> Process:
    port = settings.localnet_port
    command = [sys.executable, "-m", "localnet", "--port", str(port), "--state", str(folder)]
    command += ["--slot-ms", str(settings.localnet_slot_ms)]
    command += ["--finality-depth", str(settings.localnet_finality_depth)]
    command += ["--dispute-period", str(settings.localnet_dispute_period)]
    if settings.localnet_program is not None:
        command += ["--program", str(settings.localnet_program)]
    if settings.localnet_webhook:
        command += ["--webhook-url", f"{api_url(settings)}/api/webhooks/helius"]
    else:
        command += ["--no-webhook"]
    return Process(
        name="localnet",
        command=command,
        environment=process_environment("localnet", settings),
        folder=PROJECT,
        ready=readiness.json_rpc(f"http://{LOOPBACK}:{port}"),
        ports=process_ports(settings)["localnet"],
    )


def _api(settings: Settings, after: tuple[str, ...]) -> list[Process]:
    """Return the processes of the API, which listen on the same ports."""

    def process(number: int) -> Process:
        own = settings.model_copy(update={"api_process": number})
        return Process(
            name=own.api_process_name,
            command=(sys.executable, "-m", "api"),
            environment=process_environment("api", own),
            folder=PROJECT,
            needs=after,
            ready=readiness.api_process(api_url(settings), own.api_process_name),
            ports=process_ports(settings)["api"] if number == 1 else (),
        )

    return [process(number) for number in range(1, settings.api_processes + 1)]


def _dagster(settings: Settings, state: StateFolder, after: tuple[str, ...]) -> list[Process]:
    home = state.root / "dagster"
    logs = home / "compute-logs"
    common = {
        **dagster_database(settings),
        "DAGSTER_HOME": str(home),
        "DAGSTER_COMPUTE_LOGS": str(logs),
        # The folder of matplotlib's font cache, which is otherwise in the user's home.
        "MPLCONFIGDIR": str(home / "matplotlib"),
        # Seconds a call to the code server may take. A launch that is given up continues unseen,
        # so this is longer than a loaded machine needs and shorter than start_timeout_seconds.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "150",
        # Many threads that allocate now and then would each keep an arena of free memory.
        "MALLOC_ARENA_MAX": "2",
        # numpy would start a thread in the process that run workers are forked from.
        "OPENBLAS_NUM_THREADS": "1",
        "CODE_SERVER_HOST": LOOPBACK,
        "CODE_SERVER_PORT": str(settings.code_server_port),
    }

    def environment(name: str) -> dict[str, str]:
        return process_environment(name, settings) | common

    def prepare() -> None:
        for folder in (home, logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        copy = Path(shutil.copyfile(DEPLOY / "dagster.yaml", home / "dagster.yaml"))
        copy.chmod(0o600)

    workspace = ("-w", str(DEPLOY / "workspace.yaml"))
    started = time.time()
    code_server = Process(
        name="code-server",
        command=[
            *(sys.executable, "-m", "assets.code_server", "-m", "assets.definitions"),
            *("-h", LOOPBACK, "-p", str(settings.code_server_port)),
            *("--location-name", "zmart_pipelines", "--use-python-environment-entry-point"),
        ],
        environment=environment("code-server"),
        folder=PROJECT,
        needs=after,
        prepare=prepare,
        ready=readiness.listening(LOOPBACK, settings.code_server_port),
        ports=process_ports(settings)["code-server"],
    )
    daemon = Process(
        name="daemon",
        # What a tick found is on the sensor's page; the log has what needs attention.
        command=[
            *(sys.executable, "-m", "assets.daemon", "run", "--log-level", "warning", *workspace),
        ],
        environment=environment("daemon"),
        folder=PROJECT,
        needs=("code-server",),
        ready=readiness.call(lambda: _daemon_beats(settings, since=started)),
        # On a busy machine it is killed sooner than it has left its threads; it resumes its ticks.
        stop_within=3,
    )
    webserver = Process(
        name="webserver",
        command=[
            *(sys.executable, "-m", "assets.webserver", *workspace),
            *("-h", settings.dagster_host, "-p", str(settings.dagster_port)),
            *(("--read-only",) if settings.dagster_read_only else ()),
        ],
        environment=environment("webserver"),
        folder=PROJECT,
        needs=("code-server",),
        ready=readiness.http(f"{dagster_url(settings)}/server_info"),
        stop_within=3,
        ports=process_ports(settings)["webserver"],
    )
    return [code_server, daemon, webserver]


def _daemon_beats(settings: Settings, since: float) -> bool:
    """Return whether the daemon wrote a heartbeat since that time (Unix seconds)."""
    try:
        url = libpq_url(login_url(Role.DAGSTER, settings))
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "SELECT 1 FROM dagster.daemon_heartbeats "
                "WHERE timestamp >= to_timestamp(%s) AT TIME ZONE 'UTC'",
                (since,),
            ).fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return False  # not yet, or not any more
    return row is not None


def _exporter(settings: Settings, after: tuple[str, ...]) -> Process:
    return Process(
        name="exporter",
        command=(sys.executable, "-m", "zmart_pipelines.metrics"),
        environment=process_environment("exporter", settings),
        folder=PROJECT,
        needs=after,
        ready=readiness.listening(_reachable(settings.metrics_host), settings.metrics_port),
        ports=process_ports(settings)["exporter"],
    )


def _watchdog(settings: Settings, after: tuple[str, ...]) -> Process:
    return Process(
        name="watchdog",
        command=(sys.executable, "-m", "zmart_pipelines.cli", "watchdog"),
        environment=process_environment("watchdog", settings),
        folder=PROJECT,
        needs=after,
        ready=readiness.call(lambda: True),
        stop_within=2,
    )


def _demo(settings: Settings) -> Process:
    return Process(
        name="demo",
        command=(sys.executable, "-m", "demo"),
        environment=process_environment("demo", settings),
        folder=PROJECT,
        needs=("api", "localnet", "daemon", "webserver"),
        ready=readiness.call(lambda: True),
        echo=True,
        stop_within=2,
    )
