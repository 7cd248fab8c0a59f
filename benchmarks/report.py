"""The table of docs/performance.md: measured rows, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.rows import Row, cpu_seconds
from zmart_pipelines.runtime.postgres import find_binaries, major_version

PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN: Final = "<!-- measured: written by `make bench` -->"
END: Final = "<!-- end of measured -->"
_HEAD: Final = (
    "| what | value | goal | met | against | measured, at speed |",
    "|---|---|---|---|---|---|",
)
# The loop of ``speed`` takes this long on the machine that counts as 1.
_UNIT_SECONDS: Final = 0.005


def _loop() -> int:
    return sum(number * number for number in range(100_000))


def speed() -> float:
    """Return how fast one core interprets a fixed Python loop; 1 is 5 ms for 100,000 rounds.

    Virtual machines of one name differ by a factor of two and more: rows that are no ratios can
    be compared only at the same speed.
    """
    return round(_UNIT_SECONDS / cpu_seconds(_loop, 20), 2)


def machine() -> str:
    """Return what kind of machine this is, in one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB; {platform.system()} "
        f"{platform.machine()}; {platform.python_implementation()} {platform.python_version()}, "
        f"Postgres {major_version(find_binaries())}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _line(row: Row, measured: str) -> str:
    value = "-" if row.value is None else f"{row.value:,g}"
    text = row.rival.replace("|", "\\|")
    return (
        f"| `{row.name}` | {value} {row.unit} | {row.goal:,g} | {'yes' if row.ok else 'no'} "
        f"| {text} | {measured} |"
    )


def _name(line: str) -> str:
    return line.split("`")[1]


def updated_page(
    page: str, rows: Iterable[Row], order: list[str], about: str, measured: str
) -> str:
    """Return the page with these rows in its table; rows that were not measured stay."""
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = {_name(line): line for line in old.splitlines() if line.startswith("| `")}
    lines |= {row.name: _line(row, measured) for row in rows}
    kept = [lines[name] for name in order if name in lines]
    table = "\n".join([BEGIN, "", about, "", *_HEAD, *kept, "", END])
    return before + table + after


def write(rows: Iterable[Row], order: list[str]) -> None:
    """Write the rows into the page."""
    measured = f"{datetime.now(UTC):%Y-%m-%d}, {speed()}"
    page = updated_page(PAGE.read_text("utf-8"), rows, order, machine(), measured)
    PAGE.write_text(page, "utf-8")
