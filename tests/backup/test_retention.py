"""Which backups are deleted: the old ones, but never the last good one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.backup.names import backup_name, is_backup_name, taken_at
from zmart_pipelines.backup.retention import StoredBackup, expired, is_due

NOW = datetime(2026, 6, 30, 0, 5, tzinfo=UTC)


def stored(days: float, *, complete: bool = True, verified: bool = True) -> StoredBackup:
    taken = NOW - timedelta(days=days)
    return StoredBackup(backup_name(taken), taken, complete, verified and complete)


backups = st.lists(
    st.builds(stored, st.floats(0, 100), complete=st.booleans(), verified=st.booleans()),
    max_size=12,
)


@given(backups, st.integers(1, 60))
def test_last_good_backup_and_what_is_younger_than_its_limit_stay(
    known: list[StoredBackup], days: int
) -> None:
    past = expired(known, NOW, days)
    verified = [one for one in known if one.verified]
    if verified:
        assert max(verified, key=lambda one: one.taken_at) not in past
    limit = NOW - timedelta(days=days)
    assert not [one for one in past if one.complete and one.taken_at >= limit]


@given(backups, st.integers(1, 60))
def test_of_a_target_with_a_recent_good_backup_nothing_old_stays(
    known: list[StoredBackup], days: int
) -> None:
    known = [*known, stored(0)]
    kept = [one for one in known if one not in expired(known, NOW, days)]
    limit = NOW - timedelta(days=days)
    assert all(one.taken_at >= limit or not one.complete for one in kept)


def test_without_a_good_backup_no_complete_one_is_deleted() -> None:
    known = [stored(90, verified=False), stored(60, verified=False)]
    assert expired(known, NOW, 30) == []


def test_later_unverified_backups_do_not_replace_the_last_good_one() -> None:
    good, later = stored(90), stored(1, verified=False)
    assert expired([good, later], NOW, 30) == []


def test_interrupted_backup_is_deleted_after_a_day() -> None:
    old, new = stored(1.1, complete=False), stored(0.9, complete=False)
    assert expired([old, new], NOW, 30) == [old]


def test_a_backup_is_due_once_a_night() -> None:
    midnight = datetime(2026, 6, 30, tzinfo=UTC)
    assert is_due(None, NOW)
    assert is_due(midnight - timedelta(seconds=1), NOW)
    assert not is_due(midnight, NOW)


@given(st.integers(946_684_800, 7_258_118_400).map(lambda s: datetime.fromtimestamp(s, UTC)))
def test_name_tells_the_second_of_the_backup(moment: datetime) -> None:
    assert taken_at(backup_name(moment)) == moment


def test_other_folders_of_a_target_are_no_backups() -> None:
    assert not any(map(is_backup_name, ["wal", "20260631T000000Z", "20260630T000000", ".x"]))
