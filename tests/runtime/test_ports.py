"""Ports that are chosen for servers: outside the kernel's range, and each for one caller."""

from __future__ import annotations

import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from zmart_pipelines.runtime.ports import CHOSEN_PORTS, Port, is_free, unused_port

LOCAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_no_outgoing_connection_is_given_a_chosen_port() -> None:
    if not LOCAL_RANGE.exists():
        pytest.skip("the kernel's range is read from /proc")
    low, _ = map(int, LOCAL_RANGE.read_text().split())
    assert CHOSEN_PORTS.stop <= low
    assert unused_port() in CHOSEN_PORTS


def test_processes_that_choose_at_once_get_different_ports() -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        chosen = list(pool.map(unused_port, [2] * 100))
    taken = {port + step for port in chosen for step in (0, 1)}
    assert len(taken) == 200


def test_used_port_is_passed_over() -> None:
    first = unused_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", first + 2))
        assert not is_free(Port(first + 2, "", ""))
        assert unused_port(3) > first + 2


def test_after_the_last_port_comes_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = tmp_path / "cursor"
    cursor.write_text(str(CHOSEN_PORTS.stop - 1))
    monkeypatch.setattr("zmart_pipelines.runtime.ports._CURSOR", cursor)
    assert unused_port(2) < CHOSEN_PORTS.start + 1000
    cursor.write_text("not a number")
    assert unused_port() < CHOSEN_PORTS.start + 1000
