"""What is owed to the chain now, and which deadlines come next, market by market."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import DatabaseDep, SettingsDep, error_responses
from api.public_text import without_endpoints
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.client_schemas.formats import StateName
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import deadlines, markets, submissions
from zmart_pipelines.store.queries.deadlines import MarketDeadline
from zmart_pipelines.submissions.due_markets import due_decisions, ledger_periods
from zmart_pipelines.submissions.statuses import Action

Stage = Literal["due", "planned", "live"]
_MOST: Final = 100


class OwedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that must come to the chain.

    `stage` is how far it is: `due`, but not decided yet; `planned` as the submission `intent`, and
    not signed, for the `reason` where one is known; `live`, when a transaction is signed and not
    final. It is owed `since` then.
    """

    market_id: str
    question: str
    action: Action
    stage: Stage
    since: str
    intent: int | None
    reason: str | None


class ComingDeadline(msgspec.Struct, frozen=True, kw_only=True):
    """When a market goes on by the chain's clock; `seconds_left` is negative once that has passed.

    A market in ACTIVE ends then and is to be resolved; in RESOLVING its dispute window ends, in
    DISPUTED its vote, and the pipelines finalize it.
    """

    market_id: str
    question: str
    state: StateName
    at: str | None
    seconds_left: int


class OwedWork(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed now, the oldest first, and the deadlines that come first.

    `owed_count` counts all that is owed, also what is beyond the limit of the list.
    """

    owed: list[OwedTransaction]
    owed_count: int
    deadlines: list[ComingDeadline]
    chain_time: str


@get(
    "/api/owed",
    tags=["ledger"],
    responses=error_responses(400),
    cache_control=caching.A_SECOND,
)
async def get_owed_work(
    database: DatabaseDep,
    settings: SettingsDep,
    limit: Annotated[
        int, QueryParameter(ge=1, le=_MOST, description="Entries of each list at most.")
    ] = 20,
) -> OwedWork:
    """Get the transactions that are owed to the chain, and the deadlines that come next."""

    def read(conn: Connection) -> OwedWork:
        chain_time = markets.chain_now(conn)
        now = datetime.now(UTC)
        open_intents = submissions.open_intents(conn, limit=_MOST)
        counts = submissions.counts_by_status(conn)
        decisions = due_decisions(conn, settings, chain_time=chain_time, now=now)
        periods = ledger_periods(conn, settings)
        coming: list[MarketDeadline] = []
        if periods is not None:
            coming = deadlines.next_deadlines(
                conn,
                window=periods.dispute_window + periods.margin,
                vote=periods.dispute_vote + periods.margin,
                limit=limit,
            )
        named = {one.market_id for one in decisions} | {one.market_id for one in open_intents}
        named |= {one.market_id for one in coming}
        questions = deadlines.questions(conn, named)

        def question(market_id: bytes) -> str:
            return questions.get(market_id, f"Market {market_id.hex()[:8]}")

        owed = [
            OwedTransaction(
                market_id=one.market_id.hex(),
                question=question(one.market_id),
                action=one.action,
                stage="due",
                since=formats.iso8601(one.since),
                intent=None,
                reason=None,
            )
            for one in decisions
        ] + [
            OwedTransaction(
                market_id=one.market_id.hex(),
                question=question(one.market_id),
                action=msgspec.convert(one.action, Action),
                stage=msgspec.convert(one.status, Stage),
                since=formats.iso8601(one.due_at),
                intent=one.id,
                reason=without_endpoints(one.reason),
            )
            for one in open_intents
        ]
        owed.sort(key=lambda one: (one.since, one.market_id))
        return OwedWork(
            owed=owed[:limit],
            owed_count=len(decisions) + sum(counts.get(one, 0) for one in submissions.OPEN),
            deadlines=[
                ComingDeadline(
                    market_id=one.market_id.hex(),
                    question=question(one.market_id),
                    state=formats.state_name(MarketState(one.state)),
                    at=formats.chain_time(one.at),
                    seconds_left=one.at - chain_time,
                )
                for one in coming
            ],
            chain_time=formats.as_of(chain_time),
        )

    return await database.read(read)


HANDLERS = [get_owed_work]
