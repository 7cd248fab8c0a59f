"""Which files of the log are kept: never too few, whatever was archived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.backup.wal_names import (
    COMPRESSED,
    PARTIAL,
    SEGMENT_BYTES,
    BaseBackup,
    base_for,
    files_from,
    is_complete,
    log_file,
    segment_of,
    unneeded_bases,
    unneeded_files,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMELINES = st.integers(1, 5)
POSITIONS = st.integers(0, 2**40)
SEGMENTS = st.builds(lambda timeline, at: segment(timeline, at), TIMELINES, POSITIONS)
HISTORIES = st.builds("{:08X}.history".format, TIMELINES)
SUFFIXES = st.sampled_from(["", PARTIAL, COMPRESSED, PARTIAL + COMPRESSED])
FILES = st.builds("".join, st.tuples(st.one_of(SEGMENTS, HISTORIES), SUFFIXES))
STRAYS = st.sampled_from(["", "lost+found", "0" * 23, "0" * 25, "base.tar", "0" * 24 + ".tmp"])
NAMES = st.lists(st.one_of(FILES, STRAYS), max_size=20)


def segment(timeline: int, position: int) -> str:
    return segment_of(timeline, f"{position >> 32:X}/{position & 0xFFFFFFFF:X}")


@st.composite
def base_backups(draw: st.DrawFn) -> list[BaseBackup]:
    """Base backups one after the other; each begins where the log had come to."""
    made: list[BaseBackup] = []
    at, position, timeline = START, 0, 1
    for number in range(draw(st.integers(0, 6))):
        at += timedelta(seconds=draw(st.integers(1, 10**6)))
        position += draw(st.integers(0, 2**34))
        timeline += draw(st.integers(0, 1))
        finished = at + timedelta(seconds=draw(st.integers(0, 10**4)))
        made.append(BaseBackup(str(number), at, finished, segment(timeline, position)))
        at = finished
    return draw(st.permutations(made))


MOMENTS = st.builds(lambda seconds: START + timedelta(seconds=seconds), st.integers(0, 10**7))


@given(TIMELINES, POSITIONS, POSITIONS)
def test_later_positions_are_in_no_earlier_file(timeline: int, one: int, other: int) -> None:
    first, second = sorted((one, other))
    assert segment(timeline, first) <= segment(timeline, second)
    same = first // SEGMENT_BYTES == second // SEGMENT_BYTES
    assert (segment(timeline, first) == segment(timeline, second)) is same


@given(st.one_of(SEGMENTS, HISTORIES), SUFFIXES)
def test_suffixes_do_not_change_what_a_file_is(name: str, suffix: str) -> None:
    assert log_file(name + suffix) == name
    assert is_complete(name + suffix) is (PARTIAL not in suffix)


@given(STRAYS)
def test_other_names_are_no_files_of_the_log(name: str) -> None:
    assert log_file(name) is None
    assert not is_complete(name)


@given(NAMES, SEGMENTS)
def test_replay_finds_every_file_that_is_there(names: list[str], first: str) -> None:
    """Each file from the segment on, of every timeline, and each history; a part only where no
    whole is."""
    found = files_from(names, first)
    assert set(found) <= set(names)
    asked = {
        plain
        for name in names
        if (plain := log_file(name)) is not None
        and (plain.endswith(".history") or plain[8:] >= first[8:])
    }
    assert {log_file(name) for name in found} == asked
    whole = {log_file(name) for name in names if is_complete(name)}
    assert not [name for name in found if not is_complete(name) and log_file(name) in whole]


@given(NAMES, base_backups())
def test_no_file_is_removed_that_a_base_backup_needs(
    names: list[str], bases: list[BaseBackup]
) -> None:
    removed = unneeded_files(names, bases)
    assert set(removed) <= set(names)
    for base in bases:
        needed = {log_file(name) for name in files_from(names, base.first_segment)}
        assert needed.isdisjoint(map(log_file, removed))
    if not bases:
        assert removed == []
    assert not [name for name in removed if (log_file(name) or "").endswith(".history")]


@given(base_backups(), MOMENTS, MOMENTS)
def test_each_moment_stays_within_reach_after_pruning(
    bases: list[BaseBackup], oldest: datetime, wanted: datetime
) -> None:
    removed = unneeded_bases(bases, oldest)
    kept = [one for one in bases if one not in removed]
    moment = max(oldest, wanted)
    assert base_for(kept, moment) == base_for(bases, moment)
    assert base_for(kept, None) == base_for(bases, None)
    # Of those that were finished before the oldest moment one is left.
    assert len([one for one in kept if one.finished_at <= oldest]) <= 1


@given(base_backups(), st.one_of(st.none(), MOMENTS))
def test_replay_begins_with_the_newest_that_was_finished(
    bases: list[BaseBackup], moment: datetime | None
) -> None:
    usable = [one for one in bases if moment is None or one.finished_at <= moment]
    found = base_for(bases, moment)
    if not usable:
        assert found is None
    else:
        assert found is not None
        assert found.finished_at == max(one.finished_at for one in usable)
