"""The fields and errors that tell clients of their limits.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11: ``RateLimit-Policy`` names the
quotas that apply to the request, ``RateLimit`` what is left of each: ``r`` tokens, and no more than
these within ``t`` seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from api.error_codes import ErrorCode
from api.errors import ApiError, ReachedLimit
from api.rate_limit.buckets import setting_of
from api.rate_limit.limiter import BucketState, Decision
from api.rate_limit.token_bucket import Quota


def limit_headers(states: Sequence[BucketState]) -> list[tuple[bytes, bytes]]:
    """Return both fields; none where no quota applies."""
    if not states:
        return []
    left = b", ".join(
        [b'"%s";r=%d;t=%d' % (one.quota.name.encode(), one[1], one[2]) for one in states]
    )
    return [
        (b"ratelimit-policy", b", ".join([_policy(state.quota) for state in states])),
        (b"ratelimit", left),
    ]


@lru_cache(maxsize=256)
def _policy(quota: Quota) -> bytes:
    return b'"%s";q=%d;w=%d' % (quota.name.encode(), quota.limit, quota.window_ms // 1000)


def limited(decision: Decision) -> ApiError:
    """Return the 429 of a refused request, which names the bucket that is empty for longest."""
    state = decision.decisive
    quota, seconds = state.quota, max(1, state.next_seconds)
    window = quota.window_ms // 1000
    return ApiError(
        429,
        f"The limit of the bucket {quota.name} ({quota.limit} requests per {window} s) is reached;"
        f" retry after {seconds} s",
        code=ErrorCode.LIMIT_EXCEEDED,
        headers={"Retry-After": str(seconds)},
        extra={
            "limit": ReachedLimit(
                setting_of(quota),
                quota.limit,
                bucket=quota.name,
                window_seconds=window,
                retry_after_seconds=seconds,
            ),
            "violated_policies": [one.quota.name for one in decision.states if one.is_short],
        },
    )
