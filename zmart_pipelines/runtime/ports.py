"""Whether the needed ports are free, and which process uses them if not."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


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
