"""What Dagster shows of every definition: descriptions, owners, kinds, tags, links, hints."""

from __future__ import annotations

import re

import dagster as dg
import pytest

from assets.catalog import DASHBOARD, GROUPS, ORIGIN_TAG, OWNERS, README, Origin
from assets.definitions import defs
from assets.defs.backfill import RANGES

# Their decorator takes no owners.
RUN_STATUS_SENSORS = {"run_failure_sensor", "run_success_sensor"}


def jobs() -> list[dg.JobDefinition]:
    return [job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")]


SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_asset_is_complete(name: str) -> None:
    spec = SPECS[name]
    group = GROUPS[str(spec.group_name)]
    assert spec.description
    assert len(spec.description) > 40
    assert list(spec.owners) == OWNERS
    assert spec.kinds
    assert Origin(spec.tags[ORIGIN_TAG]) is group.origin
    link = spec.metadata[DASHBOARD]
    assert isinstance(link, dg.UrlMetadataValue)
    assert re.fullmatch(r"https?://[^/]+/app(/markets)?", str(link.value))


def test_every_job_is_complete() -> None:
    assert len(jobs()) > 10
    for job in jobs():
        assert job.description, job.name
        assert list(job.owners or ()) == OWNERS, job.name


def test_every_schedule_sensor_and_check_is_described() -> None:
    repository = defs.get_repository_def()
    definitions: list[dg.ScheduleDefinition | dg.SensorDefinition] = [
        *repository.schedule_defs,
        *repository.sensor_defs,
    ]
    for each in definitions:
        assert each.description, each.name
        # The schedule of a partitioned job takes its owners from nowhere.
        if each.name not in RUN_STATUS_SENSORS | {"snapshot_discussions_schedule"}:
            assert list(each.owners or ()) == OWNERS, each.name
    checks = [
        spec
        for checks in repository.asset_checks_defs_by_key.values()
        for spec in checks.check_specs
    ]
    assert len(checks) > 10
    for spec in checks:
        assert spec.description, spec.key


def test_every_field_of_a_launchpad_has_a_hint_and_a_default() -> None:
    found = 0
    for job in jobs():
        for node in job.nodes:
            schema = node.definition.config_schema
            fields = getattr(schema.config_type, "fields", {}) if schema else {}
            for name, field in fields.items():
                found += 1
                assert field.description, (job.name, name)
                assert not field.is_required, (job.name, name)
    assert found > 10


def test_dialog_of_a_new_partition_says_how_a_range_is_written() -> None:
    assert RANGES.name is not None
    assert "FIRST-LAST" in RANGES.name


def test_readme_is_shown_and_has_every_group() -> None:
    shown = defs.metadata["README"]
    assert isinstance(shown, dg.MarkdownMetadataValue)
    assert shown.value == README.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", README.read_text(), re.MULTILINE))
    assert rows == {
        name: f"{group.description} | {group.origin.value}" for name, group in GROUPS.items()
    }
