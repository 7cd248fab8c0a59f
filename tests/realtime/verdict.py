"""What clients received, against the stored stream and what REST says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from tests.fixtures.running_system import RunningSystem
from tests.realtime.channel_state import (
    ALERTS,
    PARTS,
    PRICES,
    SYSTEM,
    WALLET,
    State,
    apply,
    differences,
    part_of,
    prices_of,
    state_of,
)
from tests.realtime.client_model import StateView, Stretch
from tests.realtime.crowd import Client, SeenFrames


class Source(NamedTuple):
    """Whose frames a channel delivers: those of a stored channel, of one type where it is named."""

    channel: str
    type: str | None


def source_of(channel: str) -> Source:
    """Return the source of a channel's frames."""
    if channel.endswith(PRICES):
        return Source(channel.removesuffix(PRICES), PARTS["state"])
    part = part_of(channel)
    if part is None:
        return Source(channel, None)
    return Source(channel.removesuffix(f":{part}"), PARTS[part])


class Stored(NamedTuple):
    """A frame as stored."""

    position: int
    type: str
    payload: Any


class StoredStream:
    """All frames that the system stored, by source."""

    def __init__(self, system: RunningSystem) -> None:
        self._frames: dict[Source, list[Stored]] = {}
        for position, channel, type_, payload in system.query(
            "SELECT position, channel, type, payload FROM ops.stream ORDER BY position"
        ):
            frame = Stored(position, type_, payload)
            self._frames.setdefault(Source(channel, None), []).append(frame)
            self._frames.setdefault(Source(channel, type_), []).append(frame)

    def frames(self, channel: str) -> Sequence[Stored]:
        """Return the frames of a channel, oldest first."""
        return self._frames.get(source_of(channel), [])


def heads(system: RunningSystem) -> Mapping[Source, int]:
    """Return the newest position of each source."""
    found: dict[Source, int] = {}
    for channel, type_, position in system.query(
        "SELECT channel, type, max(position) FROM ops.stream GROUP BY 1, 2"
    ):
        found[Source(channel, type_)] = position
        found[Source(channel, None)] = max(position, found.get(Source(channel, None), 0))
    return found


def head_of(heads: Mapping[Source, int], channel: str) -> int:
    """Return the newest position of a channel."""
    return heads.get(source_of(channel), 0)


def is_current(client: Client, heads: Mapping[Source, int]) -> bool:
    """Return whether a client applied everything up to these heads."""
    return bool(client.views) and all(
        view.position is not None and view.position >= head_of(heads, channel)
        for channel, view in client.views.items()
    )


class Verdict(NamedTuple):
    """What went wrong; each line names the client, the channel and the positions.

    Attributes:
        lost: Frames that were stored and not applied.
        unknown: Frames that were applied and not stored, or twice, or out of order.
        different: Frames with another content than the stored ones.
        states: Where a client's state is not what REST says.
    """

    lost: list[str]
    unknown: list[str]
    different: list[str]
    states: list[str]


class Rest:
    """What REST says of the channels, read once."""

    def __init__(self, system: RunningSystem) -> None:
        self._system = system
        self._states: dict[str, State] = {}

    def state(self, channel: str) -> State:
        """Return the state that clients of a channel should hold."""
        if channel not in self._states:
            self._states[channel] = state_of(channel, self._read(channel))
        return self._states[channel]

    @cached_property
    def switches(self) -> Any:
        """The kill switches, which a state of the system must name."""
        return self._system.get("/api/submissions/switches")

    def _read(self, channel: str) -> Any:
        if channel.startswith(WALLET):
            wallet = channel.removeprefix(WALLET)
            return {"positions": self._system.get(f"/api/positions/{wallet}")}
        if channel == "markets":
            return self._system.get("/api/markets")
        if channel == ALERTS:
            return self._system.get("/api/alerts?open=true")
        part = part_of(channel)
        market = channel.split(":")[1]
        paths = {
            "state": f"/api/markets/{market}",
            "trades": f"/api/markets/{market}/trades",
            "votes": f"/api/votes/{market}",
            "discussion": f"/api/discussions/{market}",
        }
        if part is not None:
            return self._system.get(paths[part])
        answers = {name: self._system.get(path) for name, path in paths.items()}
        return {**answers, "market": answers["state"]}


def judge(clients: Iterable[Client], stream: StoredStream, seen: SeenFrames, rest: Rest) -> Verdict:
    """Compare every stretch of every client with the stream, and its last state with REST."""
    verdict = Verdict([], [], [], [])
    compared: set[tuple[str, int]] = set()
    for client in clients:
        for channel, view in client.views.items():
            stored = stream.frames(channel)
            if isinstance(view, StateView):
                title = f"client {client.number}, {channel}"
                wrong = (
                    _wrong_system(view, rest) if channel == SYSTEM else _wrong_states(view, stored)
                )
                verdict.states.extend(f"{title}: {one}" for one in wrong)
                continue
            for stretch in view.stretches:
                is_last = stretch is view.stretches[-1]
                due = _due(stretch, stored, is_last=is_last)
                title = f"client {client.number}, {channel}"
                _compare_positions(title, stretch, due, verdict)
                if is_last:
                    state = _state(channel, stretch, seen)
                    unequal = differences(state, rest.state(channel))
                    verdict.states.extend(f"{title}: {one}" for one in unequal)
                applied = set(stretch.positions)
                for frame in due:
                    key = channel, frame.position
                    if key not in compared and frame.position in applied:
                        compared.add(key)
                        if seen[key] != (frame.type, frame.payload):
                            verdict.different.append(f"{channel} {frame.position}")
    return verdict


def _wrong_system(view: StateView, rest: Rest) -> Iterable[str]:
    """Yield what is wrong with the newest state of the system; its lag is of that moment."""
    shown = msgspec.json.decode(view.states[view.position]) if view.position else {}
    if set(shown) != {"lag", "breakers", "switches"} or shown["switches"] != rest.switches:
        yield f"{shown} instead of {rest.switches}"


def _wrong_states(view: StateView, stored: Sequence[Stored]) -> Iterable[str]:
    """Yield which states of prices are not those of the market, or are not the last."""
    frames = {frame.position: frame for frame in stored}
    last = stored[-1].position if stored else 0
    if view.position != last:
        yield f"{view.position} is not the last, {last}"
    for position, content in view.states.items():
        shown = msgspec.json.decode(content)
        frame = frames.get(position)
        expected = {} if frame is None else prices_of(frame.payload["market"])
        if not expected or expected != {name: shown[name] for name in expected}:
            yield f"at {position}: {shown} instead of {expected}"


def _state(channel: str, stretch: Stretch, seen: SeenFrames) -> State:
    state = state_of(channel, msgspec.json.decode(stretch.snapshot))
    for position in stretch.positions:
        apply(state, *seen[channel, position])
    return state


def _due(stretch: Stretch, stored: Sequence[Stored], *, is_last: bool) -> list[Stored]:
    """Return the frames after a stretch's start: to its end, or all where it is the last one."""
    end = stretch.positions[-1] if stretch.positions else stretch.start
    return [
        frame
        for frame in stored
        if frame.position > stretch.start and (is_last or frame.position <= end)
    ]


def _compare_positions(
    title: str, stretch: Stretch, due: Sequence[Stored], verdict: Verdict
) -> None:
    applied = list(stretch.positions)
    expected = [frame.position for frame in due]
    if applied == expected:
        return
    missing = sorted(set(expected) - set(applied))
    if missing:
        verdict.lost.append(f"{title}: {missing[:5]} of {len(missing)}")
    if missing == [] or set(applied) - set(expected):
        verdict.unknown.append(f"{title}: {sorted(set(applied) - set(expected))[:5]}")
