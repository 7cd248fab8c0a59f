"""The bodies that clients send. Unknown members are refused and named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.errors import invalid
from zmart_pipelines.program.lmsr import MIN_B

# A million SOL: the largest the program speaks of.
MAX_LAMPORTS = 10**15
LONGEST_YEARS = 10

Category = Literal["politics", "sports", "crypto", "science", "entertainment", "other"]
Text = Annotated[str, Meta(max_length=2048)]
Key = Annotated[str, Meta(max_length=100)]
Lamports = Annotated[int, Meta(ge=1, le=MAX_LAMPORTS)]
Shares = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Signed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A body that may carry the proof of who sends it; the header may carry it instead."""

    message: Text | None = None
    signature: Key | None = None
    wallet: Key | None = None


class NewMarket(Signed, kw_only=True):
    """A market's question. ``end_date`` is ISO 8601; ``liquidity`` (virtual, lamports) and
    ``b_parameter`` (9 decimals) go into the create transaction as they are. Without
    ``b_parameter`` the liquidity is taken for the most that may be lost.
    """

    question: Annotated[str, Meta(min_length=10, max_length=200)]
    category: Category
    end_date: Annotated[str, Meta(max_length=40)]
    liquidity: Lamports
    description: Annotated[str, Meta(max_length=2000)] = ""
    tags: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=10)
    ] = []
    b_parameter: Annotated[int, Meta(ge=MIN_B, le=MAX_LAMPORTS)] | None = None

    def ends_at(self, now: datetime) -> datetime:
        """``end_date`` in UTC; ApiError 400 unless it lies between now and ten years on."""
        try:
            found = datetime.fromisoformat(self.end_date)
        except ValueError as error:
            raise invalid("end_date", "must be an ISO 8601 time") from error
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        try:
            found = found.astimezone(UTC)
        except OverflowError as error:
            raise invalid("end_date", "must be an ISO 8601 time") from error
        if found <= now:
            raise invalid("end_date", "must lie in the future")
        if found.year > now.year + LONGEST_YEARS:
            raise invalid("end_date", f"must lie within {LONGEST_YEARS} years")
        return found


class Buy(Signed, kw_only=True):
    """Buy shares of one side for at most ``max_cost`` lamports, fees included.

    The program buys for a sum, not a number of shares: ``shares``, as older clients send
    it, is the least that the sum must buy now.
    """

    market_id: Key
    outcome: bool
    max_cost: Lamports
    shares: Shares | None = None


class Sell(Signed, kw_only=True):
    """Sell shares of one side for at least ``min_proceeds`` lamports."""

    market_id: Key
    outcome: bool
    shares: Shares
    min_proceeds: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Resolve(Signed, kw_only=True):
    """Propose the outcome, with the CIDv0 of the evidence."""

    outcome: bool
    ipfs_evidence_hash: Annotated[str, Meta(min_length=46, max_length=46)]


class NewVote(Signed, kw_only=True):
    """A ballot. ``vote`` (or ``choice``): true, like, agree – or false, dislike, disagree.

    ``message`` is the ballot's text, as ``GET /api/votes/{kind}/{market}/message`` gives
    it, ``signature`` the wallet's signature of exactly that text.
    """

    market_id: Key
    vote: bool | Key | None = None
    choice: bool | Key | None = None


class NewComment(Signed, kw_only=True):
    """A comment under a market."""

    market_id: Key
    content: Annotated[str, Meta(min_length=1, max_length=1000)]


class Proven(Signed, kw_only=True):
    """A body that holds the proof and nothing else."""
