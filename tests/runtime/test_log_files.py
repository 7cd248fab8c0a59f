"""Log files of supervised processes: bounded, readable while they grow."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zmart_pipelines.runtime.log_files import LogFile, Retention, earlier_files


def test_each_complete_line_is_returned_once(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "child.log"
    log = LogFile(path)
    assert log.new_lines() == []
    with log.open() as child:
        child.write(b"first\nsec")
        assert log.new_lines() == ["first"]
        child.write("ond ░\n".encode())
        assert log.new_lines() == ["second ░"]
    assert log.new_lines() == []


def test_lines_of_an_earlier_run_are_not_new(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    path.write_text("yesterday\n")
    log = LogFile(path)
    with log.open() as child:
        child.write(b"today\n")
    assert log.new_lines() == ["today"]
    assert log.tail(5) == ["yesterday", "today"]
    assert log.tail(5, since=len("yesterday\n")) == ["today"]


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_large_log_is_rotated_while_its_writer_continues(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "child.log", Retention(max_bytes=100))
    with log.open() as child:
        child.write(b"x" * 99 + b"\n")
        log.rotate(NOON)
        assert log.size() == 100, "within its bound"
        child.write(b"y\n")
        log.rotate(NOON)
        child.write(b"z\n")
    assert log.path.read_bytes() == b"z\n"
    (earlier,) = earlier_files(log.path)
    assert earlier.name == "child.log.20260131T120000Z"
    assert earlier.read_bytes().endswith(b"x\ny\n")
    assert log.new_lines() == ["z"]


def test_log_is_rotated_when_a_day_has_begun_and_kept_for_its_days(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "child.log", Retention(keep_days=3))
    with log.open() as child:
        for day in range(6):
            log.rotate(NOON + timedelta(days=day))
            child.write(f"day {day}\n".encode())
            log.rotate(NOON + timedelta(days=day, hours=2))
    assert log.path.read_text() == "day 5\n"
    kept = [path.read_text() for path in earlier_files(log.path)]
    assert kept == ["day 2\n", "day 3\n", "day 4\n"]


def test_log_of_an_earlier_run_has_the_day_on_which_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    path.write_text("yesterday\n")
    yesterday = NOON - timedelta(days=1)
    os.utime(path, (yesterday.timestamp(), yesterday.timestamp()))
    log = LogFile(path)
    log.rotate(NOON)
    assert log.size() == 0
    assert earlier_files(path)[0].read_text() == "yesterday\n"


def test_number_of_earlier_files_is_bounded(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "child.log", Retention(max_bytes=1, keep_files=2))
    with log.open() as child:
        for number in range(5):
            child.write(f"{number}\n".encode())
            log.rotate(NOON + timedelta(seconds=number))
    assert [path.read_text() for path in earlier_files(log.path)] == ["3\n", "4\n"]
