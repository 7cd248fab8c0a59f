"""``zmart logs`` finds records of all parts by time, level and text, in both formats."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zmart_pipelines.cli import main
from zmart_pipelines.runtime.log_records import Query, records

NOW = datetime.now(UTC).replace(microsecond=0)


def at(minutes: int) -> str:
    return f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.000000Z}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    logs = tmp_path / "logs"
    logs.mkdir()
    rotated = logs / "api.log.20260101T000000Z"
    rotated.write_text(f"{at(50)} [info     ] older one [api] request_id=aa\n")
    (logs / "api.log").write_text(
        f"{at(9)} [info     ] served [api] request_id=bb\n"
        f"{at(3)} [error    ] it failed [api] request_id=cc\n"
        "Traceback (most recent call last):\n"
        "ZeroDivisionError: planted\n"
        f"{at(1)} [warning  ] slow [api] request_id=bb\n"
    )
    event = {
        "timestamp": at(2),
        "level": "warning",
        "part": "code-server",
        "event": "lost",
        "run_id": "bb",
    }
    (logs / "code-server.log").write_text(f"not json\n{json.dumps(event)}\n")
    (logs / "postgres.log").write_text(
        f"{NOW - timedelta(minutes=4):%Y-%m-%d %H:%M:%S}.123 UTC [42] FATAL:  no such role\n"
    )
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    return logs


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["logs", *arguments])


def parts_and_texts(result: Result) -> list[str]:
    return [line[13:] for line in result.output.splitlines()]


def test_all_parts_are_merged_by_time(folder: Path) -> None:
    found = parts_and_texts(run("--since", "40m"))
    order = [("served", "FATAL", "it failed", "Traceback", "Zero", "lost", "slow")]
    assert [next(word for word in order[0] if word in line) for line in found] == list(order[0])


def test_rotated_files_are_searched(folder: Path) -> None:
    assert "older one" in run("--grep", "request_id=aa").output
    assert run("--since", "40m", "--grep", "older").exit_code == 1


def test_level_is_the_least(folder: Path) -> None:
    found = run("--level", "error").output
    assert "it failed" in found
    assert "no such role" in found
    assert "slow" not in found


def test_a_record_is_found_by_a_line_of_its_traceback_and_printed_whole(folder: Path) -> None:
    found = parts_and_texts(run("--grep", "ZeroDivision"))
    assert [line.split()[0] for line in found][1:] == ["Traceback", "ZeroDivisionError:"]
    assert "it failed" in found[0]


def test_one_id_joins_the_parts(folder: Path) -> None:
    found = run("--grep", "bb").output.splitlines()
    assert [line.split()[0] for line in found] == ["api", "code-server", "api"]


def test_parts_are_chosen(folder: Path) -> None:
    found = run("--part", "postgres", "--part", "code-server").output
    assert {line.split()[0] for line in found.splitlines()} == {"postgres", "code-server"}
    refused = run("--part", "nothing")
    assert refused.exit_code == 2
    assert "api, code-server, postgres" in refused.output


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--since", "soon", "10m"),
        ("--grep", "(", "regular expression"),
        ("--level", "loud", "debug"),
    ],
)
def test_bad_options_are_named_with_the_remedy(
    folder: Path, option: str, value: str, reason: str
) -> None:
    refused = run(option, value)
    assert refused.exit_code == 2
    assert reason in refused.output


def test_a_line_without_a_time_is_not_known_to_be_recent() -> None:
    (record,) = records("demo", ["plain"])
    assert (record.at, record.level) == (None, "info")
    assert Query().matches(record)
    assert not Query(since=NOW).matches(record)


def test_time_of_redis_is_read() -> None:
    (record,) = records("redis", ["7:M 30 Nov 2026 22:15:58.372 # low memory"])
    assert record.level == "warning"
    assert record.at is not None
    assert record.at.microsecond == 372_000
