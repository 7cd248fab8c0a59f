"""Clients that all come back at once, as after a restart, and the reads of others meanwhile.

A process that has just started has none of the frames in memory. A thousand clients, ten for an
address as the limits allow, reconnect to it at once; each missed 500 frames of one of 20 markets,
half of them trades and half the states after them. A hundred other users read pages meanwhile,
each once a second, from a process of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import uvloop
from sqlalchemy import Engine

from benchmarks.ballots import fresh_api
from benchmarks.open_loop import Outcome, User, call, run
from benchmarks.processes import cpu_of
from benchmarks.resuming_sockets import Missed, Storm, resume
from benchmarks.rows import Row
from tests.ledger.recorded_rpc import PROGRAM, Recorder
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel

GOAL: Final = 5.0
GOAL_READS: Final = 0.2
MARKETS: Final = 20
FRAMES: Final = 500
_USERS: Final = 100
_BEFORE: Final = 3  # seconds of reads before the storm
_READS: Final = 12


def resume_storm(quick: bool) -> Row:
    """Measure the seconds until the last of a thousand clients has its 500 missed frames."""
    clients = 100 if quick else 1_000
    with fresh_api() as (api, writer, _), _another_process() as readers:
        trade, state = _recorded_frames(writer)
        missed = _append(writer, trade, state)
        reading = readers.submit(_read, api.settings.api_port, trade["market_id"])
        time.sleep(_BEFORE)
        assert api.process is not None  # noqa: S101 - it runs
        before = cpu_of(api.process.pid)
        wanted = [missed[number % MARKETS] for number in range(clients)]
        storm = uvloop.run(resume(api.settings.ws_port, wanted))
        spent = cpu_of(api.process.pid) - before
        reads = _during(storm, *reading.result())
    if storm.frames != clients * FRAMES:
        raise AssertionError(f"{storm.frames} frames instead of {clients * FRAMES}")
    return _row(storm, reads, spent)


def _another_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _append(writer: Engine, trade: dict[str, Any], state: dict[str, Any]) -> list[Missed]:
    """Store the frames of all markets in turn; return what a client of each market missed."""
    channels = [market_channel(bytes([number + 1]) * 32) for number in range(MARKETS)]
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number in range(FRAMES + 1):
        type_, payload = ("market_state", state) if number % 2 else ("trade", trade)
        with writer.begin() as conn:
            frames = [Frame(channel, type_, payload | {"number": number}) for channel in channels]
            positions = stream.append(conn, frames)
        last = dict(zip(channels, positions, strict=True))
        first = first or last
    return [Missed(channel, first[channel], last[channel]) for channel in channels]


def _recorded_frames(writer: Engine) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ingest a market with a trade; return the content of its frames of both types."""
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    with writer.begin() as conn:
        ingest(
            conn,
            chain.transactions,
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
        frames = {frame.type: frame.payload for frame in stream.read_after(conn, 0)}
    return frames["trade"], frames["market_state"]


def _read(port: int, market: str) -> tuple[float, list[Outcome]]:
    """Read pages in this process; return when that began and what became of it."""
    paths = [
        "/api/markets?limit=20",
        f"/api/markets/{market}",
        f"/api/markets/{market}/trades",
        f"/api/votes/{market}",
    ]
    users = [User(number, port) for number in range(_USERS)]
    calls = [
        [call("read", paths[(number + second) % len(paths)]) for second in range(_READS)]
        for number in range(_USERS)
    ]
    begun = time.monotonic()
    return begun, uvloop.run(run(users, calls))


def _during(storm: Storm, begun: float, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the reads that were due while clients were behind."""
    end = storm.begun + storm.seconds[-1]
    return [one for one in outcomes if storm.begun - 1 < begun + one.second < end]


def _row(storm: Storm, reads: Sequence[Outcome], spent: float) -> Row:
    value = round(storm.seconds[-1], 2)
    times = sorted(one.seconds for one in reads)
    p50, p99 = (times[int(len(times) * share)] for share in (0.5, 0.99))
    failed = [one for one in reads if one.status != 200]
    median = storm.seconds[len(storm.seconds) // 2]
    text = "; ".join(
        [
            f"{len(storm.seconds)} clients, {storm.frames} frames, {storm.bytes / 1e6:.0f} MB",
            f"half of the clients current after {median:.2f} s",
            f"{len(reads)} reads meanwhile: p50 {p50 * 1e3:.0f}, p99 {p99 * 1e3:.0f} ms",
            f"goal of the reads {GOAL_READS * 1e3:.0f} ms, {len(failed)} errors (goal 0)",
            f"CPU of the API {spent:.1f} s, {spent / storm.frames * 1e6:.1f} µs a frame",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )
    ok = value <= GOAL and p99 < GOAL_READS and not failed
    return Row("resume_storm", value, "s until all are current", GOAL, text, ok)
