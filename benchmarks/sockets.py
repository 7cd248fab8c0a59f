"""Sockets that receive the same frames: against Node's `ws`, and over several API processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.rows import Row
from benchmarks.socket_world import Received, Server, SocketWorld, socket_world

GOAL_FANOUT: Final = 1.0
GOAL_MANY: Final = 30.0
GOAL_READING: Final = 1.2
_FANOUT_P99: Final = 0.050
_MANY_P99: Final = 0.100
# Processes of the API whose hubs read the same stream.
_PROCESSES: Final = (1, 2, 4)
_READING_SOCKETS: Final = 40
_READING_RATE: Final = 200.0
_WARM_SECONDS: Final = 2.0


def socket_fanout(quick: bool) -> Row:
    """Measure the processor time of a frame for one of 1,000 sockets, 50 frames a second."""
    rounds, seconds = (1, 4.0) if quick else (5, 10.0)
    with socket_world() as world:
        ours, theirs = _both(world, sockets=1000, rate=50.0, rounds=rounds, seconds=seconds)
    pairs = zip(ours, theirs, strict=True)
    value = median(a.cpu / b.cpu for a, b in pairs)
    p99 = _p99(ours)
    text = (
        f"{_text('API', ours)}; {_text('Node ws', theirs)}; p99 goal {_FANOUT_P99 * 1e3:.0f} ms;"
        f" Postgres {_postgres(ours):.2f} ms a published frame; {_setting(rounds, seconds)}"
    )
    ok = value <= GOAL_FANOUT and p99 < _FANOUT_P99
    return Row("socket_fanout", round(value, 2), "times the CPU of a frame", GOAL_FANOUT, text, ok)


def socket_many(quick: bool) -> Row:
    """Measure the memory of one of 5,000 subscribed sockets that get 5 frames a second."""
    rounds, seconds = (1, 4.0) if quick else (5, 10.0)
    sockets = 1000 if quick else 5000
    memory: dict[str, float] = {}
    with socket_world() as world:
        ours, theirs = _both(
            world, sockets=sockets, rate=5.0, rounds=rounds, seconds=seconds, memory=memory
        )
    value, p99 = memory["API"], _p99(ours)
    text = (
        f"{_text('API', ours)}; {_text('Node ws', theirs)}, {memory['Node ws']:.1f} KB a socket;"
        f" {sockets} sockets; p99 goal {_MANY_P99 * 1e3:.0f} ms; {_setting(rounds, seconds)}"
    )
    ok = value <= GOAL_MANY and p99 < _MANY_P99
    return Row("socket_many", round(value, 1), "KB of memory a socket", GOAL_MANY, text, ok)


def hub_reading(quick: bool) -> Row:
    """Measure what reading the stream costs a process where four read it instead of one."""
    seconds = 4.0 if quick else 20.0
    measured: dict[int, Received] = {}
    for processes in _PROCESSES:
        with socket_world() as world:
            server = world.api(processes)
            world.connect(server, _READING_SOCKETS)
            world.measure(server, _READING_SOCKETS, _READING_RATE, _WARM_SECONDS)
            measured[processes] = world.measure(server, _READING_SOCKETS, _READING_RATE, seconds)
    published = _READING_RATE * seconds

    def cost(processes: int) -> float:
        """Processor seconds of one process for one published frame."""
        return measured[processes].server / processes / published

    value = cost(_PROCESSES[-1]) / cost(1)
    parts = [
        f"{processes} processes: {cost(processes) * 1e6:.0f} µs of each process and"
        f" {one.postgres / published * 1e6:.0f} µs of Postgres a frame,"
        f" p50 {one.p50 * 1e3:.1f}, p99 {one.p99 * 1e3:.1f} ms"
        for processes, one in measured.items()
    ]
    text = (
        f"{'; '.join(parts)}; {_READING_RATE:.0f} frames/s to {_READING_SOCKETS} sockets,"
        f" appending included; {_setting(1, seconds)}"
    )
    return Row(
        "hub_reading",
        round(value, 2),
        "times the cost of a process",
        GOAL_READING,
        text,
        value <= GOAL_READING,
    )


def _both(
    world: SocketWorld,
    *,
    sockets: int,
    rate: float,
    rounds: int,
    seconds: float,
    memory: dict[str, float] | None = None,
) -> tuple[list[Received], list[Received]]:
    """Load the API and Node in turns; both have all their sockets open all the time.

    Args:
        world: Where they run.
        sockets: On each side.
        rate: Published frames per second.
        rounds: Measured windows of each.
        seconds: Of a window.
        memory: Receives the kilobytes of a socket by the server's name.
    """
    api = world.api()
    world.connect(api, 1)
    node = world.node(world.sample(api))
    windows: tuple[list[Received], list[Received]] = ([], [])
    sides: list[tuple[Server, list[Received], int]] = []
    for server, found, opened in ((api, windows[0], 1), (node, windows[1], 0)):
        before = server.memory()
        world.connect(server, sockets - opened)
        world.measure(server, sockets, rate, _WARM_SECONDS)
        if memory is not None:
            memory[server.name] = (server.memory() - before) / (sockets - opened) / 1024
        sides.append((server, found, sockets))
    for _ in range(rounds):
        for server, found, count in sides:
            found.append(world.measure(server, count, rate, seconds))
    return windows


def _p99(windows: Sequence[Received]) -> float:
    return median(one.p99 for one in windows)


def _postgres(windows: Sequence[Received]) -> float:
    """Return the milliseconds of Postgres for one published frame of 1,000 deliveries."""
    return median(one.postgres / one.frames for one in windows) * 1e6


def _text(name: str, windows: Sequence[Received]) -> str:
    p50, p99, most = (
        median(getattr(one, part) for one in windows) * 1e3 for part in ("p50", "p99", "most")
    )
    cpu = median(one.cpu for one in windows) * 1e6
    share = median(one.server / one.seconds for one in windows)
    return (
        f"{name} {cpu:.1f} µs a frame and socket ({share:.0%} of a core),"
        f" p50 {p50:.1f}, p99 {p99:.1f}, max {most:.0f} ms"
    )


def _setting(rounds: int, seconds: float) -> str:
    return (
        f"medians of {rounds} windows of {seconds:g} s in turns, limits on;"
        f" load {os.getloadavg()[0]:.1f}"
    )
