"""What voters need beside a signature, asked of the chain a few wallets at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from api.chain import Chain
from api.database import Database
from api.errors import unavailable
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import votes
from zmart_pipelines.voting.ballot import BallotRejected, SignedBallot, verify

# Questions to the chain at once, and ballots that wait for their turn to ask.
AT_ONCE: Final = 4
MAX_WAITING: Final = 500


class Standings:
    """The standing of wallets for one process; see ``zmart_pipelines.voting.eligibility``."""

    def __init__(self, chain: Chain, database: Database, settings: Settings) -> None:
        self._standing = chain.standing(settings)
        self._database = database
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def rejection(self, ballot: SignedBallot) -> BallotRejected | None:
        """Why the ballot's wallet may not vote now, None where it may; ApiError 503 when the
        chain does not say.

        Nobody can make us ask about a wallet without its signature.
        """
        standing = self._standing
        if ballot.kind != "proposal" or not standing.asked:
            return None
        if standing.is_cached(ballot.wallet):
            return standing.rejection(ballot.wallet)
        if not verify(ballot.message, ballot.signature, ballot.wallet):
            return None  # it is refused for that
        if self._waiting >= MAX_WAITING:
            raise unavailable("The chain")
        self._waiting += 1
        try:
            async with self._turns:
                since = await self._database.read(
                    lambda conn: votes.known_since(conn, ballot.wallet)
                )
                return await asyncio.to_thread(standing.rejection, ballot.wallet, since)
        except (RpcError, RpcUnavailable, RateLimited) as error:
            raise unavailable("The chain") from error
        finally:
            self._waiting -= 1
