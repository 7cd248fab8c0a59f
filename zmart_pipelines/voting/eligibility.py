"""Whether a wallet is more than a key made a moment ago: its balance and its age.

Both are settings, off by default. Answers are remembered for a while, of so many wallets,
so that voters do not make us ask the chain for each ballot.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple

from solders.pubkey import Pubkey

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.ballot import BallotRejected

# Wallets remembered, and for how many seconds: those that may vote, and those that may not,
# who are perhaps on their way to change that.
MAX_WALLETS: Final = 20_000
GOOD_SECONDS: Final = 300.0
BAD_SECONDS: Final = 5.0

# Transactions of a wallet looked through for an old one, newest first.
_PAGE: Final = 1000
_PAGES: Final = 5


class _Remembered(NamedTuple):
    until: float
    rejection: BallotRejected | None


class WalletEligibility:
    """Judges wallets by the settings ``ballot_min_lamports`` and ``ballot_min_age_seconds``.

    Safe to use from several threads.
    """

    def __init__(
        self, rpc: RpcClient, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rpc = rpc
        self._lamports = settings.ballot_min_lamports
        self._age = settings.ballot_min_age_seconds
        self._clock = clock
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._lock = Lock()

    @property
    def asked(self) -> bool:
        """Whether wallets need anything at all."""
        return bool(self._lamports or self._age)

    def is_cached(self, wallet: bytes) -> bool:
        """Whether ``rejection`` would answer from memory."""
        return self._recall(wallet) is not None

    def rejection(self, wallet: bytes, known_since: int | None = None) -> BallotRejected | None:
        """Why the wallet may not vote on proposals now, None where it may.

        :param known_since: chain second at which the ledger first saw it, if it has.
        :raises RpcError, RpcUnavailable, RateLimited: when the chain has to be asked and does
            not answer.
        """
        remembered = self._recall(wallet)
        if remembered is not None:
            return remembered.rejection
        found = self._poor(wallet) or self._young(wallet, known_since)
        seconds = GOOD_SECONDS if found is None else BAD_SECONDS
        with self._lock:
            self._remembered[wallet] = _Remembered(self._clock() + seconds, found)
            self._remembered.move_to_end(wallet)
            while len(self._remembered) > MAX_WALLETS:
                self._remembered.popitem(last=False)
        return found

    def _recall(self, wallet: bytes) -> _Remembered | None:
        with self._lock:
            found = self._remembered.get(wallet)
        return found if found is not None and self._clock() < found.until else None

    def _poor(self, wallet: bytes) -> BallotRejected | None:
        if not self._lamports:
            return None
        balance = self._rpc.balance(Pubkey(wallet), "confirmed").value
        if balance >= self._lamports:
            return None
        return BallotRejected(
            "wallet",
            f"holds {balance} lamports; a ballot needs a wallet with {self._lamports}, top it up",
        )

    def _young(self, wallet: bytes, known_since: int | None) -> BallotRejected | None:
        if not self._age:
            return None
        before = self._rpc.chain_clock("confirmed").unix_timestamp - self._age
        if known_since is not None and known_since <= before:
            return None
        if self._acted_before(wallet, before):
            return None
        return BallotRejected(
            "wallet",
            f"has no transaction that is {self._age} s old; vote with an older wallet, or later",
        )

    def _acted_before(self, wallet: bytes, moment: int) -> bool:
        """Whether a transaction of the wallet is as old as ``moment`` (chain seconds)."""
        last: bytes | None = None
        for _ in range(_PAGES):
            page = self._rpc.signatures_for_address(
                Pubkey(wallet), before=last, limit=_PAGE, commitment="confirmed"
            )
            if any(one.block_time is not None and one.block_time <= moment for one in page):
                return True
            if len(page) < _PAGE:
                return False
            last = page[-1].signature
        return False
