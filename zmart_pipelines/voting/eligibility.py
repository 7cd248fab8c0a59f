"""Whether a wallet may vote on proposals: its minimum balance and its minimum age.

Both are settings, off by default. They make it costly to vote with newly generated keys. Answers
are cached, so that not every ballot needs a call to the chain.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from threading import Lock
from typing import Final, NamedTuple

from solders.pubkey import Pubkey

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signature_listing import from_one_node, iter_pages
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.ballot import BallotRejected, WalletNotEligible

# Cached wallets, and for how many seconds: eligible ones, and rejected ones, which may be about to
# become eligible.
MAX_WALLETS: Final = 20_000
ELIGIBLE_SECONDS: Final = 300.0
REJECTED_SECONDS: Final = 5.0

# Transactions of a wallet that are searched for an old one, newest first.
_PAGE_SIZE: Final = 1000
_MAX_PAGES: Final = 5


class _CachedAnswer(NamedTuple):
    expires: float
    rejection: BallotRejected | None


class WalletEligibility:
    """Checks wallets by the settings ``ballot_min_lamports`` and ``ballot_min_age_seconds``.

    Safe to use from several threads.
    """

    def __init__(
        self, rpc: RpcClient, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rpc = rpc
        self._lamports = settings.ballot_min_lamports
        self._age = settings.ballot_min_age_seconds
        self._clock = clock
        self._cache: OrderedDict[bytes, _CachedAnswer] = OrderedDict()
        self._lock = Lock()

    @property
    def required(self) -> bool:
        """Whether wallets have to meet any requirement."""
        return bool(self._lamports or self._age)

    def is_cached(self, wallet: bytes) -> bool:
        """Return whether ``rejection`` would answer from the cache."""
        return self._cached(wallet) is not None

    def rejection(self, wallet: bytes, known_since: int | None = None) -> BallotRejected | None:
        """Return why the wallet may not vote on proposals now, None where it may.

        Args:
            wallet: Its 32 bytes.
            known_since: Chain second of its first transaction in the ledger, if there is one.

        Raises:
            RpcError, RpcUnavailable, RateLimited: The chain had to be read and was unreachable.
        """
        cached = self._cached(wallet)
        if cached is not None:
            return cached.rejection
        rejection = self._check_balance(wallet) or self._check_age(wallet, known_since)
        seconds = ELIGIBLE_SECONDS if rejection is None else REJECTED_SECONDS
        with self._lock:
            self._cache[wallet] = _CachedAnswer(self._clock() + seconds, rejection)
            self._cache.move_to_end(wallet)
            while len(self._cache) > MAX_WALLETS:
                self._cache.popitem(last=False)
        return rejection

    def _cached(self, wallet: bytes) -> _CachedAnswer | None:
        with self._lock:
            answer = self._cache.get(wallet)
        return answer if answer is not None and self._clock() < answer.expires else None

    def _check_balance(self, wallet: bytes) -> BallotRejected | None:
        if not self._lamports:
            return None
        balance = self._rpc.balance(Pubkey(wallet), "confirmed").value
        if balance >= self._lamports:
            return None
        return WalletNotEligible(
            "wallet",
            f"has {balance} lamports; voting requires at least {self._lamports}, so fund it first",
        )

    def _check_age(self, wallet: bytes, known_since: int | None) -> BallotRejected | None:
        if not self._age:
            return None
        latest = self._rpc.chain_clock("confirmed").unix_timestamp - self._age
        if known_since is not None and known_since <= latest:
            return None
        if self._has_transaction_before(wallet, latest):
            return None
        return WalletNotEligible(
            "wallet",
            f"has no transaction that is {self._age} s old; vote with an older wallet, or later",
        )

    def _has_transaction_before(self, wallet: bytes, latest: int) -> bool:
        """Return whether the wallet has a transaction of chain second ``latest`` or earlier."""

        def has(node: RpcClient) -> bool:
            pages = iter_pages(
                node,
                Pubkey(wallet),
                first_slot=0,
                commitment="confirmed",
                page_size=_PAGE_SIZE,
            )
            return any(
                row.block_time is not None and row.block_time <= latest
                for page in islice(pages, _MAX_PAGES)
                for row in page.rows
            )

        return from_one_node(self._rpc, has)
