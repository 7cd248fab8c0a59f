"""The buckets of requests, and their quotas as the settings have them.

Every request takes a token of the general bucket of its client: ``anonymous`` of an address,
``wallet`` of a wallet that signed in or of a service's key. Some routes take one of a smaller
bucket as well. A quota is the setting ``rate_limit_<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from api.rate_limit.token_bucket import DAY_MS, MINUTE_MS, Quota
from zmart_pipelines.settings import RATE_LIMIT_PREFIX, Settings


class BucketName(StrEnum):
    """What is counted together."""

    ANONYMOUS = "anonymous"
    WALLET = "wallet"
    WRITE = "write"
    SEARCH = "search"
    AUTH = "auth"
    PIN = "pin"
    WEBHOOK = "webhook"


# Names of the quotas of each bucket, with the milliseconds in which an empty one fills.
_WINDOWS: Final[Mapping[BucketName, Mapping[str, int]]] = MappingProxyType(
    {
        BucketName.ANONYMOUS: {"anonymous": MINUTE_MS},
        BucketName.WALLET: {"wallet": MINUTE_MS},
        BucketName.WRITE: {"write": MINUTE_MS},
        BucketName.SEARCH: {"search": MINUTE_MS},
        BucketName.AUTH: {"auth": MINUTE_MS},
        BucketName.PIN: {"pin": MINUTE_MS, "pin_day": DAY_MS},
        BucketName.WEBHOOK: {"webhook": MINUTE_MS},
    }
)

Quotas = Mapping[BucketName, tuple[Quota, ...]]


def quotas_of(settings: Settings) -> Quotas:
    """Return the quotas of every bucket; one without any is not limited."""
    limits = settings.rate_limits
    return {
        bucket: tuple(
            Quota(name, limits[name], window) for name, window in windows.items() if limits[name]
        )
        for bucket, windows in _WINDOWS.items()
    }


def setting_of(quota: Quota) -> str:
    """Return the name of the setting that has the quota's limit."""
    return RATE_LIMIT_PREFIX + quota.name
