"""A process that takes tokens without pause: ``python -m tests.api.limiter_process``.

Arguments: Redis's URL, the quota's limit and window (ms), how often to ask. Prints ``ready`` once
it is connected, starts at the first line of input, then prints how many requests were allowed.
"""

from __future__ import annotations

import asyncio
import sys

from api.rate_limit import redis_buckets
from api.rate_limit.limiter import Charge, Limiter
from api.rate_limit.redis_buckets import RedisBuckets
from api.rate_limit.token_bucket import Quota

# However busy the machine is: what is tested is how Redis decides.
redis_buckets.ANSWER_SECONDS = 60  # type: ignore[misc]


async def main(url: str, limit: int, window_ms: int, asked: int) -> None:
    buckets = RedisBuckets(url)
    limiter, quota = Limiter(buckets), Quota("shared", limit, window_ms)
    async with limiter.running():
        while not buckets.is_connected:  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0.01)
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        allowed = 0
        for _ in range(asked // 10):
            decisions = await asyncio.gather(
                *(limiter.take(Charge(quota, "one")) for _ in range(10))
            )
            allowed += sum(decision.is_allowed for decision in decisions)
    print(allowed, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(value) for value in sys.argv[2:])))
