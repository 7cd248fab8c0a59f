"""The tables of docs/pipelines.md name what the code location defines, no more and no less."""

import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from assets.definitions import defs
from assets.run_lanes import LANE_TAG

PAGE = Path(__file__).parents[2] / "docs/pipelines.md"
GRAPH = defs.resolve_asset_graph()
JOBS = {job.name: job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading of second level, without the backquotes."""
    section = PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]


def keys(cell: str) -> set[str]:
    return set(re.split(r",\s*", cell))


def test_assets() -> None:
    page = {row[0]: (row[1], keys(row[2])) for row in rows("Assets")}
    defined = {}
    for key in GRAPH.get_all_asset_keys():
        jobs = {name for name, job in JOBS.items() if key in job.asset_layer.selected_asset_keys}
        defined[key.to_user_string()] = (GRAPH.get(key).metadata["dagster/table_name"], jobs)
    assert page == defined


def test_checks() -> None:
    page = {row[0]: keys(row[1]) for row in rows("Checks")}
    defined: dict[str, set[str]] = {}
    for check in GRAPH.asset_check_keys:
        defined.setdefault(check.name, set()).add(check.asset_key.to_user_string())
    assert page == defined


def test_sensors() -> None:
    names = [row[0] for row in rows("Sensors")]
    assert sorted(names) == sorted(sensor.name for sensor in defs.sensors or [])
    for name, _, starts in rows("Sensors"):
        sensor = defs.resolve_sensor_def(name)
        targets = {job.name for job in sensor.jobs} if sensor.has_jobs else set()
        assert all(job in starts for job in targets), name
        assert targets or starts.startswith("nothing"), name


def test_schedules() -> None:
    page = {row[0]: (row[1], row[2]) for row in rows("Schedules")}
    defined = {}
    for schedule in defs.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        defined[schedule.name] = (schedule.cron_schedule, schedule.job_name)
    assert page == defined


def test_jobs() -> None:
    page = {row[0]: row[1] for row in rows("Jobs")}
    # A job that names no lane is put into this one by the coordinator.
    assert page == {name: job.tags.get(LANE_TAG, "background") for name, job in JOBS.items()}


def test_everything_has_a_description() -> None:
    """Shown in the UI, and long enough to say something."""
    texts = {
        **{job.name: job.description for job in JOBS.values()},
        **{sensor.name: sensor.description for sensor in defs.sensors or []},
        **{
            schedule.name: schedule.description
            for schedule in defs.schedules or []
            if isinstance(schedule, dg.ScheduleDefinition)
        },
        **{
            f"{key.asset_key.to_user_string()}:{key.name}": GRAPH.get_check_spec(key).description
            for key in GRAPH.asset_check_keys
        },
    }
    assert {name for name, text in texts.items() if len(text or "") < 30} == set()
