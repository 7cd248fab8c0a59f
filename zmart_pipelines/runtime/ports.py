"""Whether the needed ports are free, which process uses them if not, and unused ones."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Below the ports that Linux (32768 on) and macOS (49152 on) give to outgoing connections: one of
# those can be taken by a client of any server before the process that chose it listens.
CHOSEN_PORTS = range(10_000, 32_768)
_CURSOR = Path(tempfile.gettempdir()) / f"zmart-ports-{os.getuid()}"


@dataclass(frozen=True)
class Port:
    """A port that a process will listen on, and the setting that changes it."""

    number: int
    setting: str
    purpose: str
    host: str = "127.0.0.1"


class PortsInUse(RuntimeError):
    """Some ports are in use; the message names each with its remedy."""


def require_free(ports: Sequence[Port]) -> None:
    """Check all ports.

    Raises:
        PortsInUse: some are in use; the message names each, its process and its setting.
    """
    in_use = [port for port in ports if not is_free(port)]
    if in_use:
        raise PortsInUse(
            "\n".join(
                f"port {port.number} (for {port.purpose}) is in use{port_holder(port)}: stop that "
                f"process, or choose another with {port.setting}=…"
                for port in in_use
            )
        )


def is_free(port: Port) -> bool:
    """Return whether the port can be bound now."""
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
        except OSError:
            return False
    return True


def unused_port(count: int = 1) -> int:
    """Choose a port on loopback that nothing uses, and that no other caller is given soon.

    The choice goes round ``CHOSEN_PORTS`` in all processes of this user, so that two that choose
    at the same moment get different ports.

    Args:
        count: as many adjacent ports are free; the first is returned.

    Raises:
        RuntimeError: no such ports are free.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(_CURSOR, flags, 0o600), "r+") as cursor:
        fcntl.flock(cursor, fcntl.LOCK_EX)
        text = cursor.read()
        number = int(text) if text.isdecimal() else CHOSEN_PORTS.start
        for _ in range(0, len(CHOSEN_PORTS), count):
            if number not in CHOSEN_PORTS or number + count > CHOSEN_PORTS.stop:
                number = CHOSEN_PORTS.start
            first, number = number, number + count
            if all(is_free(Port(first + step, "", "")) for step in range(count)):
                cursor.seek(0)
                cursor.truncate()
                cursor.write(str(number))
                return first
    raise RuntimeError(f"no {count} adjacent ports of {CHOSEN_PORTS} are free")


def port_holder(port: Port) -> str:
    """Return " by NAME (pid PID)" of the process that listens; empty where not visible."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port.number
            and connection.pid
        ):
            try:
                name = psutil.Process(connection.pid).name()
            except psutil.NoSuchProcess:
                continue
            return f" by {name} (pid {connection.pid})"
    return ""
