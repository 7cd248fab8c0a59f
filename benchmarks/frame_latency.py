"""From the chain's event to the frame on a socket, over the whole system.

The clock of a trade starts when its block is confirmed, before the local chain builds the webhook,
and stops with the trade's frame on the market's channel (``benchmarks.latency``). First the system
does nothing else than a trade now and then; then wallets send 25 trades a second, and readers 80
requests.
"""

from __future__ import annotations

import os
from typing import Final

import uvloop

from benchmarks.latency import Figures, Load
from benchmarks.rows import Row
from tests.fixtures.running_system import RunningSystem

GOAL: Final = 150.0
GOAL_MEDIAN: Final = 25.0
_PATIENCE: Final = 30.0
_READERS: Final = 8
_CALM_RATE, _BUSY_RATE = 2.0, 25.0


def frame_latency(quick: bool) -> Row:
    """Measure median and 99th percentile; the worse ones of both loads count."""
    seconds = 20 if quick else 120
    with RunningSystem("--no-demo") as system:
        system.start()
        calm = _figures(Load(system, _CALM_RATE, readers=0, page=0), seconds)
        busy = _figures(Load(system, _BUSY_RATE, _READERS, page=0), seconds)
    value = round(max(calm.p99, busy.p99) * 1e3, 1)
    median = max(calm.p50, busy.p50) * 1e3
    text = "; ".join(
        [
            f"{_CALM_RATE:g} trades/s: {calm.text()}",
            f"{_BUSY_RATE:g} trades/s and {_READERS * 10} reads/s: {busy.text()}",
            f"goal of the median {GOAL_MEDIAN:g} ms",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )
    return Row("frame_latency", value, "ms, p99", GOAL, text, value < GOAL and median < GOAL_MEDIAN)


def _figures(load: Load, seconds: float) -> Figures:
    measured = uvloop.run(load.run(seconds, _PATIENCE))
    lost = measured.sent - measured.framed.keys()
    if lost:
        raise AssertionError(f"{len(lost)} trades without a frame")
    return Figures.of(measured.seconds(measured.framed))
