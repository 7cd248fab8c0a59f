"""``zmart logs``: what the parts of the system have logged."""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from zmart_pipelines.runtime.log_files import LogFile, earlier_files
from zmart_pipelines.runtime.log_records import LEVELS, LogRecord, Query, records
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.settings import Settings

EXIT_NOTHING_FOUND: Final = 1
POLL_SECONDS: Final = 0.3
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


def _moment(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> datetime | None:
    if value is None:
        return None
    if (age := re.fullmatch(r"(\d{1,6})([smhd])", value)) is not None:
        return datetime.now(UTC) - timedelta(seconds=int(age[1]) * _UNITS[age[2]])
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value} is neither an age such as 10m, 2h or 3d nor a time such as 2026-01-31T12:00Z"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _pattern(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value} is no regular expression: {error}") from None


@click.command()
@click.option("--since", callback=_moment, help="An age such as 10m, 2h, 3d, or a time (UTC).")
@click.option("--grep", "pattern", callback=_pattern, help="A regular expression to find.")
@click.option("--part", "parts", multiple=True, help="Only this part, such as api; repeatable.")
@click.option(
    "--level", type=click.Choice(LEVELS), default="debug", help="No records less severe than this."
)
@click.option("--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
def logs(
    since: datetime | None,
    pattern: re.Pattern[str] | None,
    parts: tuple[str, ...],
    level: str,
    *,
    follow: bool,
) -> None:
    """Search the logs of all parts, the rotated files too; records are in the order of their times.

    A record with its traceback is one: it is found by any of its lines and printed whole.

    \b
    Exit codes: 0 something was found, 1 nothing was, 2 a bad option.

    \b
    Example:
      zmart logs --since 10m --level warning
      zmart logs --grep 9f2c41 --part api --part code-server
      zmart logs --since 1m --follow
    """
    folder = StateFolder.of(Settings()).logs
    paths = _files(folder, parts)
    query = Query(since, level, pattern)
    followed = [(path, LogFile(path)) for path in paths]
    found = False
    for record in heapq.merge(*(_searched(path, query) for path in paths), key=_order):
        found = True
        _print(record)
    while follow:
        time.sleep(POLL_SECONDS)
        for path, log in followed:
            for record in filter(query.matches, records(path.stem, log.new_lines())):
                _print(record)
    raise SystemExit(0 if found else EXIT_NOTHING_FOUND)


def _files(folder: Path, parts: Iterable[str]) -> list[Path]:
    known = {path.stem: path for path in sorted(folder.glob("*.log"))}
    unknown = [part for part in parts if part not in known]
    if unknown:
        names = ", ".join(known) or f"none: {folder} has no logs"
        raise click.BadParameter(f"no part {unknown[0]}; there are {names}", param_hint="--part")
    return [known[part] for part in parts] or list(known.values())


def _searched(path: Path, query: Query) -> Iterator[LogRecord]:
    """Yield what is wanted of a part, in the order in which it was written."""
    last = _FIRST
    for record in filter(query.matches, records(path.stem, _lines(path, query.since))):
        # Merging needs an order: the clock may have been set back.
        last = max(last, record.at or last)
        record.at = last
        yield record


def _lines(path: Path, since: datetime | None) -> Iterator[str]:
    for file in (*earlier_files(path), path):
        # A file that was last written before then has nothing of it.
        if since is not None and file.stat().st_mtime < since.timestamp():
            continue
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                yield line.rstrip("\n")


def _order(record: LogRecord) -> datetime:
    return record.at or _FIRST


def _print(record: LogRecord) -> None:
    for line in record.lines:
        click.echo(f"{record.part:<12} {line}")
