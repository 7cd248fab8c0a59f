"""The bookkeeping of connections, on a clock of its own."""

from __future__ import annotations

from collections.abc import Container

import pytest

from api.connections.client_address import address_key
from api.connections.connection_guard import (
    EXTRA_HEAD_SECONDS,
    EXTRA_PLACES,
    ConnectionGuard,
    Limits,
    Phase,
    Place,
)

LIMITS = Limits(
    connections=EXTRA_PLACES + 10,
    per_address=4,
    head_seconds=10,
    body_seconds=10,
    body_bytes_per_second=100,
    idle_seconds=75,
    stalled_seconds=5,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Connection:
    """Records what the guard does to it."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def expire(self, phase: Phase) -> None:
        self.seen.append(phase)

    def expire_stalled(self) -> None:
        self.seen.append("stalled")

    def abort(self) -> None:
        self.seen.append("abort")


def guard_of(clock: Clock, proxies: Container[str] = ()) -> ConnectionGuard:
    return ConnectionGuard(LIMITS, proxies, clock=clock)


def admit(guard: ConnectionGuard, host: str, phase: Phase = Phase.HEAD) -> Place:
    place = guard.admit(Connection(), host)
    assert place is not None
    if phase is not Phase.HEAD:
        guard.enter(place, phase)
    return place


def seen(place: Place) -> list[object]:
    assert isinstance(place.connection, Connection)
    return place.connection.seen


def hosts(number: int) -> list[str]:
    return [f"10.0.0.{index}" for index in range(number)]


def test_newcomer_takes_the_place_of_the_one_that_waits_longest_for_a_head() -> None:
    clock = Clock()
    guard = guard_of(clock)
    idle = admit(guard, "10.1.0.1", Phase.IDLE)
    waiting = []
    for host in hosts(9):
        clock.now += 1
        waiting.append(admit(guard, host))
    newcomer = admit(guard, "10.2.0.1")
    assert not newcomer.is_extra
    assert seen(waiting[0]) == ["abort"]
    assert [seen(place) for place in (idle, *waiting[1:])] == [[]] * 9
    assert len(guard) == 10


def test_idle_connections_give_way_when_none_waits_for_a_head() -> None:
    clock = Clock()
    guard = guard_of(clock)
    busy = [admit(guard, host, Phase.RESPONSE) for host in hosts(8)]
    idle = []
    for host in ("10.1.0.1", "10.1.0.2"):
        clock.now += 1
        idle.append(admit(guard, host, Phase.IDLE))
    admit(guard, "10.2.0.1", Phase.RESPONSE)
    assert [seen(place) for place in idle] == [["abort"], []]
    assert not any(seen(place) for place in busy)


def test_when_all_are_busy_newcomers_get_few_extra_places_and_then_none() -> None:
    clock = Clock()
    guard = guard_of(clock)
    for host in hosts(10):
        admit(guard, host, Phase.RESPONSE)
    extra = [admit(guard, "10.1.0.1", Phase.RESPONSE) for _ in range(EXTRA_PLACES)]
    assert all(place.is_extra for place in extra)
    assert guard.admit(Connection(), "10.1.0.2") is None
    guard.release(extra[0])
    slow = admit(guard, "10.1.0.3")
    assert slow.is_extra
    # The slowest of the extra ones gives way as well.
    last = admit(guard, "10.1.0.4")
    assert last.is_extra
    assert seen(slow) == ["abort"]
    clock.now += EXTRA_HEAD_SECONDS
    guard.expire()
    assert seen(last) == [Phase.HEAD]


def test_an_address_has_its_own_limit_and_a_trusted_proxy_has_none() -> None:
    clock = Clock()
    guard = guard_of(clock, {"10.9.9.9"})
    first = []
    for _ in range(4):
        clock.now += 1
        first.append(admit(guard, "10.0.0.1"))
    again = admit(guard, "10.0.0.1")
    assert not again.is_extra
    assert [seen(place) for place in first] == [["abort"], [], [], []]
    for place in (*first[1:], again):
        guard.enter(place, Phase.RESPONSE)
    assert admit(guard, "10.0.0.1").is_extra
    assert not any(admit(guard, "10.9.9.9").is_extra for _ in range(6))
    assert not any(seen(place) for place in first[1:])


def test_deadlines_of_head_body_idle_time_and_reading() -> None:
    clock = Clock()
    guard = guard_of(clock)
    head, body, idle, response = (
        admit(guard, f"10.0.0.{number}", phase)
        for number, phase in enumerate((Phase.HEAD, Phase.BODY, Phase.IDLE, Phase.RESPONSE))
    )
    guard.received_body(body, 500)  # earns five seconds
    guard.stalls(response)
    clock.now += 9.9
    guard.expire()
    assert [seen(place) for place in (head, body, idle, response)] == [[], [], [], ["stalled"]]
    clock.now += 0.2
    guard.expire()
    assert [seen(place) for place in (head, body)] == [[Phase.HEAD], []]
    clock.now += 5
    guard.expire()
    assert seen(body) == [Phase.BODY]
    clock.now += 60
    guard.expire()
    assert seen(idle) == [Phase.IDLE]
    assert seen(response) == ["stalled"]


def test_sockets_leave_places_for_requests() -> None:
    guard = guard_of(Clock())
    places = [admit(guard, host) for host in hosts(10)]
    opened = 0
    for place in places:
        if guard.can_open_socket(place):
            guard.enter(place, Phase.SOCKET)
            opened += 1
    assert opened == 8  # three quarters of ten, rounded up
    guard.release(places[0])
    guard.release(places[0])
    assert guard.can_open_socket(places[-1])


def test_connections_are_ended_when_crowded_or_draining() -> None:
    guard = guard_of(Clock())
    places, ends = [], []
    for host in hosts(9):
        places.append(admit(guard, host))
        ends.append(guard.ends_connections)
    assert ends == [False] * 8 + [True]
    for place in places:
        guard.release(place)
        ends.append(guard.ends_connections)
    assert not any(ends[9:])
    assert len(guard) == 0
    guard.is_draining = True
    assert guard.ends_connections


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("no:address", "unknown"),
        ("unknown", "unknown"),
    ],
)
def test_address_key(host: str, key: str) -> None:
    assert address_key(host) == key
