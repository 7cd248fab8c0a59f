"""Whether the ports we need are free, and who has them if not."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Port:
    """A port that a child will listen on, and the setting that moves it."""

    number: int
    setting: str
    purpose: str
    host: str = "127.0.0.1"


class PortsInUse(RuntimeError):
    """Some ports are in use; the text names each with its remedy."""


def require_free(ports: Sequence[Port]) -> None:
    """Check all ports.

    Raises:
        PortsInUse: naming every taken one, its holder where visible, and the setting.
    """
    taken = [port for port in ports if not is_free(port)]
    if taken:
        raise PortsInUse(
            "\n".join(
                f"port {port.number} (for {port.purpose}) is in use{port_holder(port)}: stop that "
                f"process, or choose another with {port.setting}=…"
                for port in taken
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
