"""Whether voters are eligible: what the chain says, a few wallets at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from api.chain import Chain
from api.database import Database
from api.errors import unavailable
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import votes
from zmart_pipelines.voting.ballot import BallotRejected, SignedBallot

# Concurrent requests to the chain, and ballots that wait for one.
MAX_CONCURRENT: Final = 4
MAX_WAITING: Final = 500


class EligibilityCache:
    """The eligibility of wallets in one process; see ``zmart_pipelines.voting.eligibility``."""

    def __init__(self, chain: Chain, database: Database, settings: Settings) -> None:
        self._chain = chain
        self._eligibility = chain.wallet_eligibility(settings)
        self._database = database
        self._program = bytes(settings.program)
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._waiting = 0

    async def rejection(self, ballot: SignedBallot) -> BallotRejected | None:
        """Return why the ballot's wallet may not vote now; None where it may.

        The chain is asked about a wallet only if the wallet signed the ballot.

        Raises:
            ApiError: 503 when the chain does not answer or too many ballots wait for it.
        """
        eligibility = self._eligibility
        if ballot.kind != "proposal" or not eligibility.required:
            return None
        if eligibility.is_cached(ballot.wallet):
            return eligibility.rejection(ballot.wallet)
        if not is_signed_by(ballot.message, ballot.signature, ballot.wallet, self._program):
            return None  # casting rejects it for its signature
        if self._waiting >= MAX_WAITING:
            raise unavailable("The chain")
        self._waiting += 1
        try:
            async with self._slots:
                since = await self._database.read(
                    lambda conn: votes.first_activity_at(conn, ballot.wallet)
                )
                return await self._chain.run(lambda: eligibility.rejection(ballot.wallet, since))
        except (RpcError, RpcUnavailable, RateLimited) as error:
            raise unavailable("The chain") from error
        finally:
            self._waiting -= 1
