"""``zmart up`` and ``zmart localnet``: start the system, or the local chain alone."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from zmart_pipelines.runtime.log_files import Retention
from zmart_pipelines.runtime.os_accounts import NoServerAccount
from zmart_pipelines.runtime.ports import PortsInUse
from zmart_pipelines.runtime.postgres import PostgresError
from zmart_pipelines.runtime.processes import plan
from zmart_pipelines.runtime.redis import RedisNotFound
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import (
    AlreadyRunning,
    StartupFailed,
    Supervisor,
    lock_holder,
)
from zmart_pipelines.settings import Settings

EXIT_FAILED, EXIT_ALREADY_RUNNING, EXIT_PORT_IN_USE = 1, 3, 4


@click.command()
@click.option("--no-demo", is_flag=True, help="Start without the demo.")
@click.option("--no-webhook", is_flag=True, help="Start the local chain without webhooks.")
def up(no_demo: bool, no_webhook: bool) -> None:
    """Start chain, pipelines, API and demo; Ctrl-C stops everything.

    \b
    Exit codes: 0 stopped on request, 1 a part did not start, 3 already running, 4 a port is in
    use.

    \b
    Example:
      zmart up
      API_PORT=4100 DAGSTER_PORT=3100 zmart up --no-demo
    """
    settings = Settings()
    if no_webhook:
        settings = settings.model_copy(update={"localnet_webhook": False})
    state = StateFolder.of(settings)
    state.prepare()
    try:
        running = lock_holder(state.lock)
        if running is not None:
            raise AlreadyRunning(*running)
        system = plan(settings, state, demo=not no_demo)
        state.save_environment(system.settings.environment())
        supervisor = Supervisor(
            system.processes,
            state,
            addresses=system.addresses,
            say=_say,
            server_homes=system.server_homes,
            logs=Retention(
                settings.log_file_bytes, settings.log_keep_days, settings.log_keep_files
            ),
        )
        _say("starting …")
        where = "\n".join(f"  {name:<9}{url}" for name, url in system.addresses.items())
        asyncio.run(
            supervisor.run(when_up=lambda: _say(f"\nup:\n{where}\n(Ctrl-C stops everything)\n"))
        )
    except AlreadyRunning as error:
        _fail(str(error), EXIT_ALREADY_RUNNING)
    except PortsInUse as error:
        _fail(str(error), EXIT_PORT_IN_USE)
    except (StartupFailed, PostgresError, RedisNotFound, NoServerAccount) as error:
        _fail(str(error), EXIT_FAILED)
    _say("stopped")


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _fail(text: str, code: int) -> None:
    click.echo(text, err=True)
    raise SystemExit(code)


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def localnet(arguments: tuple[str, ...]) -> None:
    """Run the local chain alone (its own options: ``zmart localnet --help``).

    \b
    Example:
      zmart localnet --port 8899 --state ./chain --manual-clock
    """
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-m", "localnet", *arguments]
    )
