"""What a wallet may have pinned: so many files a minute and a day, and only with some balance.

Pinning costs storage that this service pays for, and a wallet costs nothing to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.chain import Chain
from api.error_codes import ErrorCode
from api.errors import ApiError
from api.rate_limit.buckets import BucketName
from api.rate_limit.request_limits import RequestLimits, is_unlimited
from zmart_pipelines.settings import Settings


class PinAllowance:
    """The limits on pinning in one process."""

    def __init__(self, limits: RequestLimits, chain: Chain, settings: Settings) -> None:
        self._limits = limits
        self._chain = chain
        self._min_lamports = settings.min_pin_lamports

    async def require(self, scope: Mapping[str, Any], wallet: bytes) -> None:
        """Count one file of the wallet (32 bytes); a service with an unlimited key may pin any.

        Handlers call this before they store what is to be pinned, and not for a repeated request.

        Raises:
            ApiError: 429 above the limit, 409 where the wallet's balance is too small, 503 where
                the chain does not answer.
        """
        if is_unlimited(scope):
            return
        await self._limits.charge(scope, BucketName.PIN, wallet.hex())
        if not self._min_lamports:
            return
        balance = await self._chain.run(lambda: self._chain.balance(wallet))
        if balance < self._min_lamports:
            raise ApiError(
                409,
                f"The wallet has {balance} lamports; files are pinned for wallets with at least"
                f" {self._min_lamports}",
                code=ErrorCode.INSUFFICIENT_FUNDS,
            )
