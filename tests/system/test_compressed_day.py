"""A compressed day on a running system: snapshots of three days, backups, and the retention.

The jobs run in Dagster, and take the time as an argument: the snapshots as their partition, the
clean-up and the backup as ``as_of``. What they leave is read where an operator looks for it:
through Dagster's GraphQL, on Dagster's pages, through the API and on disk.

``--basetemp FOLDER`` keeps the pictures of the pages.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from selenium.webdriver import Chrome
from sqlalchemy import Connection, text

from tests.fixtures.running_system import RunningSystem
from tests.system.dagster_graphql import Asset, asset, await_run, outputs, stop_schedule
from tests.system.launchpad import launch
from tests.system.parts import acting
from tests.system.web_pages import texts, wait_for_text
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.snapshots.taking import end_of
from zmart_pipelines.store.engine import Role

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]

SNAPSHOTS, BACKUPS = "community/discussion_snapshots", "backup/database"
RUN_SECONDS: Final = 240
DAYS: Final = 3
# Snapshots are kept for 90 days and a week, backups for 30 days.
SNAPSHOT_RETENTION, BACKUP_RETENTION = timedelta(days=98), timedelta(days=31)
WALLET: Final = bytes([9]) * 32
COMMENT: Final = """
INSERT INTO community.discussions (market_id, wallet, content, created_at)
VALUES (:market, :wallet, :content, :at)
"""


class CompressedDay(msgspec.Struct, frozen=True):
    """The system after the day, and what stood on its disk before the retention.

    Attributes:
        markets: The ids of one that is discussed every day, and of one on the first day only.
        days: UTC days, the oldest first.
        files: The bytes of the snapshots' files by CID, before.
        listed: CIDs of each market's snapshots as the API listed them before, the oldest first.
        backups: Names of the backups before.
        cleaning: Run of ``clean_up``.
    """

    system: RunningSystem
    markets: tuple[bytes, bytes]
    days: list[date]
    files: Mapping[str, bytes]
    listed: Mapping[bytes, list[str]]
    backups: list[str]
    cleaning: str


def run(
    system: RunningSystem,
    job: str,
    config: dict[str, Any] | None = None,
    partition: str | None = None,
) -> str:
    """Launch a job in Dagster and wait until it has succeeded; the run's id."""
    run_id = launch(system, job, config, partition=partition)
    assert await_run(system, run_id, RUN_SECONDS) == "SUCCESS", job
    return run_id


def as_of(op: str, moment: datetime) -> dict[str, Any]:
    return {"ops": {op: {"config": {"as_of": moment.isoformat()}}}}


def comment(conn: Connection, market: bytes, day: date, content: str) -> None:
    """A comment of the evening of a day."""
    at = end_of(day) - timedelta(hours=3)
    values = {"market": market, "wallet": WALLET, "content": content, "at": at}
    conn.execute(text(COMMENT), values)


def backups_on_disk(system: RunningSystem) -> list[str]:
    return sorted(path.name for path in (system.state / "backups").iterdir())


def snapshots_of(system: RunningSystem, market: bytes) -> list[str]:
    """The CIDs of a market's snapshots, the oldest first."""
    listed = system.get(f"/api/markets/{market.hex()}/snapshots")["snapshots"]
    return [one["cid"] for one in reversed(listed)]


@pytest.fixture(scope="module")
def past() -> Iterator[CompressedDay]:
    with RunningSystem() as system:
        system.start()
        for name in ("snapshot_discussions_schedule", "back_up_schedule"):
            stop_schedule(system, name)
        system.wait_for(lambda: sum(system.states().values()) >= 2, 240, "two markets")
        yield run_day(system)


def run_day(system: RunningSystem) -> CompressedDay:
    ids = system.query("SELECT market_id FROM market.markets ORDER BY created_at LIMIT 2")
    often, once = (bytes(row[0]) for row in ids)
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=ago) for ago in range(DAYS, 0, -1)]
    with acting(system, Role.OWNER) as conn:
        conn.execute(text("INSERT INTO community.users (wallet) VALUES (:w)"), {"w": WALLET})
        comment(conn, once, days[0], "Which sources count?")
    for day in days:
        with acting(system, Role.OWNER) as conn:
            comment(conn, often, day, f"What the papers of {day} say.")
        run(system, "snapshot_discussions", partition=day.isoformat())
    run(system, "back_up")
    listed = {market: snapshots_of(system, market) for market in (often, once)}
    files = {
        cid: (system.state / "ipfs" / cid).read_bytes()
        for cid in itertools.chain.from_iterable(listed.values())
    }
    backups = backups_on_disk(system)
    cleaning = run(system, "clean_up", as_of("prune_tables", end_of(days[-1]) + SNAPSHOT_RETENTION))
    run(system, "back_up", as_of("database_backup", datetime.now(UTC) + BACKUP_RETENTION))
    return CompressedDay(system, (often, once), days, files, listed, backups, cleaning)


def by_day(shown: Asset) -> dict[str, Mapping[str, Any]]:
    return {str(one.partition): one.metadata for one in shown.materializations}


def test_dagster_shows_the_snapshots_of_each_day(
    past: CompressedDay,
) -> None:
    shown = asset(past.system, SNAPSHOTS)
    assert "canonical JSON pinned to IPFS" in shown.description
    found = by_day(shown)
    assert sorted(found) == [day.isoformat() for day in past.days]
    markets = [found[day.isoformat()]["Markets"] for day in past.days]
    assert markets == [2, 1, 1]
    for number, day in enumerate(past.days):
        metadata = found[day.isoformat()]
        assert metadata["Comments"] == metadata["Files pinned"] == markets[number]
        assert metadata["Bytes"] > 0
        assert 0 < metadata["Slowest market (s)"] < 10
        newest = metadata["Newest files"][0]
        assert newest["day"] == day.isoformat()
        assert newest["cid"] in past.files
        assert newest["pinned_at"]
    assert shown.checks == {
        "snapshots_are_whole": "SUCCEEDED",
        "snapshots_can_be_read": "SUCCEEDED",
    }


def test_snapshots_on_disk_form_a_chain_by_the_cid_before(past: CompressedDay) -> None:
    often, once = past.markets
    assert [len(past.listed[market]) for market in (often, once)] == [DAYS, 1]
    for market, cids in past.listed.items():
        before, since = None, None
        for cid, day in zip(cids, past.days, strict=False):
            data = past.files[cid]
            assert cid_v0(data) == cid
            document = json.loads(data)
            assert document["market"] == market.hex()
            assert document["previous"] == before
            period = document["period"]
            assert period["from"] == since
            assert datetime.fromisoformat(period["to"]) == end_of(day)
            assert len(document["comments"]) == 1
            before, since = cid, period["to"]


def test_backup_is_verified_on_disk_and_in_dagster(past: CompressedDay) -> None:
    (name,) = past.backups
    last, first = asset(past.system, BACKUPS).materializations
    assert first.metadata["Name"] == name
    assert first.metadata["Verified"] is True
    assert first.metadata["Deleted"] == 0
    assert first.metadata["Pinned files"] >= len(past.files)
    assert first.metadata["Rows"] > 0
    folder = past.system.state / "backups" / str(last.metadata["Name"])
    assert {path.name for path in folder.iterdir()} == {
        "database.dump",
        "roles.sql",
        "pinned-files.tar",
        "manifest.json",
        "verified.json",
    }


def test_retention_leaves_each_markets_last_snapshot_and_the_last_backup(
    past: CompressedDay,
) -> None:
    system = past.system
    kept = {cids[-1] for cids in past.listed.values()}
    gone = set(past.files) - kept
    assert len(gone) == DAYS - 1
    on_disk = {path.name for path in (system.state / "ipfs").iterdir()}
    assert kept <= on_disk
    assert not gone & on_disk
    freed = outputs(system, past.cleaning)["prune_tables"]
    assert freed["Rows deleted from community.ipfs_anchors"] == len(gone)
    for market, cids in past.listed.items():
        assert snapshots_of(system, market) == cids[-1:]
    for cid in kept:
        answer = httpx.get(f"{system.api}/api/discussions/ipfs/{cid}", timeout=60, trust_env=False)
        assert answer.content == past.files[cid]

    newest = asset(system, BACKUPS).materializations[0].metadata
    assert newest["Deleted"] == 1
    assert backups_on_disk(system) == [newest["Name"]]
    deleted = system.query("SELECT name FROM ops.backups WHERE deleted_at IS NOT NULL")
    assert [name for (name,) in deleted] == past.backups


def test_pages_of_dagster_show_it(browser: Chrome, past: CompressedDay, tmp_path: Path) -> None:
    """Descriptions, metadata and plots are there to read; the pictures are for people."""

    def show(name: str, path: str, *expected: str) -> None:
        browser.get(f"{past.system.dagster}/{path}")
        for one in expected:
            wait_for_text(browser, one)
        picture = tmp_path / f"{name}.png"
        assert browser.save_screenshot(str(picture))
        assert not [one for one in texts(browser, "body") if "Page not found" in one]

    days = [day.isoformat() for day in past.days]
    page = f"assets/{SNAPSHOTS}"
    show(
        "snapshots-overview",
        f"{page}?view=overview",
        "canonical JSON pinned to IPFS",
        "Newest files",
    )
    show("snapshots-partitions", f"{page}?view=partitions&partition={days[1]}", "Files pinned")
    show("snapshots-events", f"{page}?view=events", *days)
    show("snapshots-checks", f"{page}?view=checks", "snapshots_are_whole", "snapshots_can_be_read")
    backups = f"assets/{BACKUPS}"
    show("backup-overview", f"{backups}?view=overview", "restored, migrated and compared")
    show("backup-events", f"{backups}?view=events", "Taking (s)", "Verifying (s)")
    show("clean-up", f"runs/{past.cleaning}", "prune_tables")
