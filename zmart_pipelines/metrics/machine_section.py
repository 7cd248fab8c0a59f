"""The processes of ``zmart up`` and the disk under their state folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final

import psutil
from prometheus_client.metrics_core import Metric

from zmart_pipelines.metrics.families import counters, gauge, gauges
from zmart_pipelines.runtime.leftover_processes import PidFile
from zmart_pipelines.runtime.state_folder import StateFolder

_LABELS: Final = ("part",)


def read_machine(state: StateFolder) -> Iterator[Metric]:
    """Yield start, CPU time, memory and open files of each part, and the free disk space."""
    parts = dict(_parts(state))
    yield gauges(
        "zmart_part_start_time_seconds",
        "When a part of zmart up was started, in Unix seconds; a restart changes it.",
        _LABELS,
        _values(parts, "started"),
    )
    yield counters(
        "zmart_part_cpu_seconds",
        "CPU time of a part and of the processes that it started and that run.",
        _LABELS,
        _values(parts, "cpu"),
    )
    yield gauges(
        "zmart_part_resident_bytes",
        "Resident memory of these processes; pages that they share are counted for each.",
        _LABELS,
        _values(parts, "resident"),
    )
    yield gauges("zmart_part_open_files", "Open files of a part.", _LABELS, _values(parts, "files"))
    disk = psutil.disk_usage(str(state.root))
    yield gauge("zmart_disk_free_bytes", "Free space under the state folder.", disk.free)
    yield gauge("zmart_disk_size_bytes", "Size of that file system.", disk.total)


def _values(
    parts: Mapping[str, Mapping[str, float]], name: str
) -> Iterator[tuple[tuple[str], float]]:
    for part, facts in parts.items():
        if name in facts:
            yield (part,), facts[name]


def _parts(state: StateFolder) -> Iterator[tuple[str, dict[str, float]]]:
    for path in sorted(state.run.glob("*.json")):
        process = PidFile(path).process()
        if process is not None:
            try:
                yield path.stem, _facts(process)
            except psutil.NoSuchProcess:
                continue  # it has ended meanwhile


def _facts(process: psutil.Process) -> dict[str, float]:
    facts = {"started": process.create_time()}
    with contextlib.suppress(psutil.AccessDenied):  # Postgres runs as another user
        facts["files"] = process.num_fds()
    cpu = resident = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
            cpu += times.user + times.system
            resident += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return facts | {"cpu": cpu, "resident": resident}
