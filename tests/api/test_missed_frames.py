"""What clients missed: equal to the table, and read once for many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import pytest
from sqlalchemy import Engine

from api.database import Database
from api.realtime import channels, protocol
from api.realtime.channels import MARKETS, Channel
from api.realtime.missed_frames import MissedFrames
from api.realtime.outgoing import Outgoing
from api.realtime.starts import Starts
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream, stream_sources
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.stream import Frame
from zmart_pipelines.store.stream_sources import Source

MARKET = b"\xab" * 32
WHOLE = channels.of_market(MARKET)
TRADES = channels.of_market(MARKET, "trades")
STATE = channels.of_market(MARKET, "state")
ASKED = [WHOLE, TRADES, MARKETS]
TYPES = cycle(["trade", "market_state", "vote"])
CLIENTS = 20


@pytest.fixture
def reads(api_settings: Settings) -> Iterator[Database]:
    """The engines of an API."""
    made = Database(api_settings)
    yield made
    made.close()


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The position after which each reading of the table began."""
    begun: list[int] = []
    read = stream_sources.read

    def noted(conn: Any, sources: Any, after: int, **limits: int) -> Any:
        begun.append(after)
        return read(conn, sources, after, **limits)

    monkeypatch.setattr(stream_sources, "read", noted)
    return begun


def append(ledger: Engine, count: int) -> list[int]:
    """Append frames of several types and channels; their positions."""
    with ledger.begin() as conn:
        frames = [
            Frame(channel, "market_state" if channel == MARKETS.name else next(TYPES), {"n": n})
            for n, channel in zip(range(count), cycle([WHOLE.name, WHOLE.name, MARKETS.name]))
        ]
        return stream.append(conn, frames)


def stored(ledger: Engine, channel: Channel, since: int) -> list[Outgoing]:
    """What the table has for a channel."""
    source = channel.source
    assert source is not None
    with ledger.connect() as conn:
        frames = stream_sources.read(conn, [source], since)
    return [protocol.frame(frame, channel, source) for frame in frames]


async def all_of(
    missed: MissedFrames, asked: Sequence[Channel], since: int, heads: Mapping[str, int]
) -> list[Outgoing] | None:
    """Every page, one after the other."""
    found: list[Outgoing] = []
    while since < max(heads.values()):
        page = await missed.next(asked, since, heads, 7)
        if page is None:
            return None
        found += page
        since = page[-1].seq or 0
    return found


def deliver(missed: MissedFrames, ledger: Engine, after: int) -> None:
    """What the hub does with the frames after a position."""
    with ledger.connect() as conn:
        frames = stream.read_after(conn, after)
    for frame in frames:
        source = Source(frame.channel)
        encoded = {WHOLE: protocol.frame(frame, WHOLE, source)} if source == WHOLE.source else {}
        missed.add(frame, encoded)


def test_many_clients_share_a_reading_and_get_what_the_table_has(
    reads: Database, ledger: Engine, readings: list[int]
) -> None:
    positions = append(ledger, 60)
    since = positions[9]

    async def scenario() -> None:
        missed = MissedFrames(reads, 30)
        starts = Starts(reads, missed, 30)
        start = await starts.get(ASKED, since, with_snapshots=False)
        results = await asyncio.gather(
            *(all_of(missed, ASKED, since, start.heads) for _ in range(CLIENTS))
        )
        assert len(readings) == len(ASKED)
        readings.clear()
        for found in results:
            assert found is not None
            assert [message.seq for message in found] == sorted(
                message.seq or 0 for message in found
            )
            for channel in ASKED:
                own = [one for one in found if f'"channel":"{channel.name}"' in one.text]
                assert own == stored(ledger, channel, since)
        readings.clear()

        # What is delivered from now on is there without a reading.
        append(ledger, 30)
        deliver(missed, ledger, positions[-1])
        later = await starts.get(ASKED, since, with_snapshots=False)
        found = await all_of(missed, ASKED, since, later.heads)
        assert readings == []
        assert found is not None
        without_memory = Starts(reads, MissedFrames(reads, 30), 30)
        assert later == await without_memory.get(ASKED, since, with_snapshots=False)
        for channel in ASKED:
            own = [one for one in found if f'"channel":"{channel.name}"' in one.text]
            assert own == stored(ledger, channel, since)

    asyncio.run(scenario())


def test_deleted_frames_are_none_unless_they_are_in_memory(
    reads: Database, ledger: Engine, api_settings: Settings
) -> None:
    positions = append(ledger, 30)
    heads = {WHOLE.name: positions[-2]}

    async def scenario() -> None:
        early, late = MissedFrames(reads, 30), MissedFrames(reads, 30)
        before = await all_of(early, [WHOLE], 0, heads)
        keeper = role_engine(Role.PIPELINES, api_settings.database_url.get_secret_value())
        with keeper.begin() as conn:
            stream.prune(conn, 5)
        keeper.dispose()
        assert await all_of(early, [WHOLE], 0, heads) == before
        assert await all_of(late, [WHOLE], 0, heads) is None
        assert await all_of(late, [WHOLE], positions[-4], heads) == (before or [])[-2:]

    asyncio.run(scenario())


def test_positions_are_those_of_the_table_where_memory_does_not_reach_back(
    reads: Database, ledger: Engine
) -> None:
    positions = append(ledger, 30)

    async def scenario() -> None:
        missed = MissedFrames(reads, 30)
        await missed.next([WHOLE], positions[20], {WHOLE.name: positions[-2]}, 50)
        assert missed.heads([WHOLE], positions[20], 500) == {WHOLE.name: positions[-2]}
        assert missed.heads([WHOLE], positions[20], 3) is None, "more than that are missing"
        assert missed.heads([WHOLE], positions[3], 500) is None, "older ones are not here"
        assert missed.heads([WHOLE, STATE], positions[20], 500) is None, "nothing of one of them"
        assert missed.heads([WHOLE], positions[-1], 500) is None, "this process is behind"
        assert missed.has_frames(WHOLE)
        assert not missed.has_frames(STATE)

    asyncio.run(scenario())
