"""Dependencies that hang: they accept connections and never answer."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from zmart_pipelines.runtime.postgres import PostgresServer


@contextmanager
def frozen_node() -> Iterator[str]:
    """URL of an RPC node whose kernel accepts connections and whose process never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Stop every process of a Postgres while the block runs."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))

    def send(number: signal.Signals) -> None:
        for process in [postmaster, *postmaster.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    # The postmaster first, so that no process starts meanwhile.
    send(signal.SIGSTOP)
    try:
        yield
    finally:
        send(signal.SIGCONT)
