"""Buckets in Redis: one script call for all requests of a turn of the event loop.

Requests that ask in the same turn are sent in one call on one connection, and calls are pipelined:
the next is sent without waiting for the answer of the one before. The script reads Redis's own
clock, so that processes on several machines agree.

Where Redis does not answer, a batch has no result and the caller decides in the process; the
connection is made again in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from api.rate_limit.token_bucket import Quota
from api.redis_script import RedisScript

ANSWER_SECONDS: Final = 0.25

# Groups of buckets, one after the other; a request takes a token of every bucket of its group, or
# none. For each group: how many buckets, tokens wanted. For each of its buckets: limit, window in
# ms, and the least debt that the process knows of, so that a Redis that has lost its data goes on
# from there. Returns for each group: tokens granted, then the debt of each bucket.
# The arithmetic of api.rate_limit.token_bucket; '%.0f' keeps integers exact below 2^53.
SCRIPT: Final = b"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local results = {}
local first, argument = 0, 1
while argument < #ARGV do
    local count, granted = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
    argument = argument + 2
    local debts = {}
    for index = 1, count do
        local limit, window = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
        local debt = tonumber(ARGV[argument + 2])
        argument = argument + 3
        local stored = redis.call('GET', KEYS[first + index])
        local before, at
        if stored then
            before, at = string.match(stored, '^(%d+):(%d+)$')
        end
        if before then
            local owed = math.min(tonumber(before), limit * window)
            debt = math.max(debt, owed - math.max(0, now - tonumber(at)) * limit)
        end
        debts[index] = debt
        granted = math.min(granted, math.floor((limit * window - debt) / window))
    end
    results[#results + 1] = granted
    argument = argument - 3 * count
    for index = 1, count do
        local limit, window = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
        local debt = debts[index] + granted * window
        argument = argument + 3
        if debt > 0 then
            redis.call('SET', KEYS[first + index], string.format('%.0f:%.0f', debt, now),
                'PX', string.format('%.0f', math.ceil(debt / limit) + 1))
        end
        results[#results + 1] = debt
    end
    first = first + count
end
return results
"""


class Bucket(NamedTuple):
    """A bucket in a call: its key, its quota, and the least debt that it is known to have."""

    key: str
    quota: Quota
    least_debt: int


class Group(NamedTuple):
    """Requests that take a token of each of these buckets, or of none."""

    buckets: Sequence[Bucket]
    wanted: int


class Granted(NamedTuple):
    """How many requests of a group got their tokens, and the buckets' debts after that."""

    requests: int
    debts: Sequence[int]


# Receives the results in the order of the groups; None where Redis gave none.
Answer = Callable[[Sequence[Granted] | None], None]


class RedisBuckets:
    """The buckets of all processes. Run with ``async with buckets.running()``."""

    def __init__(self, url: str) -> None:
        self._script = RedisScript(url, SCRIPT, "limits")
        self.running = self._script.running

    @property
    def is_connected(self) -> bool:
        """Whether calls are sent to Redis at the moment."""
        return self._script.is_connected

    def take(self, groups: Sequence[Group], answer: Answer) -> None:
        """Ask for the tokens of all groups in one call.

        ``answer`` is called within ``ANSWER_SECONDS``, at once where there is no connection.
        """
        keys: list[str] = []
        arguments: list[int] = []
        for buckets, wanted in groups:
            arguments += (len(buckets), wanted)
            for key, quota, least_debt in buckets:
                keys.append(key)
                arguments += (quota.limit, quota.window_ms, least_debt)

        def reply(values: list[Any] | None) -> None:
            answer(None if values is None else _results(groups, values))

        self._script.call(keys, arguments, reply, seconds=ANSWER_SECONDS)


def _results(groups: Sequence[Group], values: Sequence[int]) -> list[Granted]:
    results, at = [], 0
    for group in groups:
        end = at + 1 + len(group.buckets)
        results.append(Granted(values[at], values[at + 1 : end]))
        at = end
    return results
