"""A temporary Postgres, for checks on a recorded chain, benchmarks and tests."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url

from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.os_accounts import server_account
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.postgres import (
    OWNER,
    STOP_SIGNAL,
    PostgresServer,
    find_binaries,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, Role, engine
from zmart_pipelines.store.logins import ensure_logins, url_for

START_SECONDS = 60


@contextmanager
def running_postgres(
    *, durable: bool = False, logins: bool = True, binaries: Path | None = None
) -> Iterator[PostgresServer]:
    """Run a temporary cluster on a free port; delete it with its files at the end.

    Args:
        durable: sync the log to disk, as a database does whose data matters.
        logins: create the login of every role; all have the same password.
        binaries: folder of the programs, as ``POSTGRES_BIN``.

    Raises:
        PostgresError: the cluster cannot be created.
        RuntimeError: the server does not start; the message is its log.
    """
    account = server_account()
    home = Path(tempfile.mkdtemp(prefix="zmart-pg-"))
    home.chmod(0o711)  # the folder is ours; another account may have to pass it
    server = PostgresServer(
        home=home / "postgres",
        port=unused_port(),
        superuser_password=secrets.token_urlsafe(16),
        owner_password=secrets.token_urlsafe(16),
        binaries=find_binaries(binaries),
        account=account,
        durable=durable,
    )
    try:
        server.prepare()
        with (home / "log").open("wb") as log:
            process = start(
                server.command(),
                environment=server.environment(),
                folder=server.home,
                output=log,
                account=account,
                death_signal=STOP_SIGNAL,
            )
        try:
            _wait_until_ready(server, process, home / "log")
            server.ensure_role_and_database()
            if logins:
                ensure_logins(server.url(), _urls(server.url()))
            yield server
        finally:
            process.send_signal(STOP_SIGNAL)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def login_settings(url: str) -> dict[str, Any]:
    """Return the settings of a temporary cluster's database, with the login of every role.

    Args:
        url: The URL of the database for any of its logins; all have the same password.
    """
    urls = {role.setting: login for role, login in _urls(url).items()}
    owner = make_url(url).set(username=OWNER)
    return {**urls, "database_url": owner.render_as_string(hide_password=False)}


def role_engine(role: Role, url: str, **options: Any) -> Engine:
    """Return an engine with the login of a role to a temporary cluster's database.

    Args:
        role: The role.
        url: The URL of the database for any of its logins.
        options: Those of :func:`zmart_pipelines.store.engine.engine`.
    """
    return engine(role, _settings(url), **options)


@lru_cache(maxsize=4)
def _settings(url: str) -> Settings:
    return Settings.model_validate(login_settings(url))


def _urls(url: str) -> dict[Role, str]:
    password = str(make_url(url).password)
    return {role: url_for(role, url, password) for role in LOGINS}


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log.read_text())
        time.sleep(0.02)
