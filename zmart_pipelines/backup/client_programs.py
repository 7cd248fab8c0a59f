"""Postgres's own client programs, given their password by environment and never as an argument."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from psycopg.conninfo import conninfo_to_dict

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.runtime.postgres import PostgresError, find_binaries
from zmart_pipelines.runtime.process_environment import inherited_environment
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import libpq_url

# libpq's parameter to the variable that names it.
_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
_TAIL: Final = 2_000  # characters of a program's errors that are reported


def client_programs(settings: Settings) -> Path:
    """Return the folder of ``pg_dump`` and its like.

    Raises:
        BackupError: There is none, or it has no ``pg_dump``.
    """
    try:
        folder = find_binaries(settings.postgres_bin)
    except PostgresError as error:
        raise BackupError(str(error)) from error
    missing = [name for name in ("pg_dump", "pg_dumpall", "pg_restore") if not _is_in(folder, name)]
    if missing:
        raise BackupError(
            f"{folder} has no {', '.join(missing)}; set POSTGRES_BIN to a folder with Postgres's"
            " server and client programs"
        )
    return folder


def _is_in(folder: Path, name: str) -> bool:
    return os.access(folder / name, os.X_OK)


def connection_environment(url: str) -> dict[str, str]:
    """Return the variables by which libpq connects as the URL says; nothing else is inherited."""
    parameters = conninfo_to_dict(libpq_url(url))
    named = {
        variable: str(parameters[name])
        for name, variable in _VARIABLES.items()
        if parameters.get(name) is not None
    }
    inherited = {
        name: value
        for name, value in inherited_environment().items()
        if name in ("PGSSLMODE", "PGSSLROOTCERT", "HOME")
    }
    return {**inherited, "PATH": os.defpath, "LC_ALL": "C", **named}


@contextmanager
def reading_from(command: Sequence[str | Path], url: str) -> Iterator[IO[bytes]]:
    """Run a program and yield its output as a stream.

    Raises:
        BackupError: The program failed.
    """
    with _started(command, url, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield process.stdout


@contextmanager
def writing_to(command: Sequence[str | Path], url: str) -> Iterator[IO[bytes]]:
    """Run a program and yield its input as a stream, which is closed at the end.

    Raises:
        BackupError: The program failed.
    """
    with _started(command, url, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; its exit code and errors say why


def run(command: Sequence[str | Path], url: str) -> None:
    """Run a program.

    Raises:
        BackupError: The program failed.
    """
    with _started(command, url):
        pass


@contextmanager
def _started(
    command: Sequence[str | Path], url: str, *, stdin: int | None = None, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=connection_environment(url),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=errors,
        )
        try:
            yield process
            if process.stdout is not None:
                process.stdout.close()
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if code != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip()
            raise BackupError(f"{Path(command[0]).name} failed (code {code}): {text[-_TAIL:]}")
