"""Which markets may need something from us, by the tables alone.

Only these are looked at on chain, so that a look costs as much as there is to do and not
as much as there are markets. The projection may be ahead of finalized or behind; the
decision is made from the accounts.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import ARRAY, BigInteger, Connection, Integer, Text, bindparam, select, text

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.market import config_history
from zmart_pipelines.submissions import intents
from zmart_pipelines.submissions.policies import TOPICS
from zmart_pipelines.voting import tallies


class Due(msgspec.Struct, frozen=True):
    """What seems to be due: market ids with counts or approvals to send, market ids to
    finalize, and how many intents are open. Nothing is decided by it.
    """

    aggregations: tuple[bytes, ...]
    finalizations: tuple[bytes, ...]
    open_intents: int

    def __bool__(self) -> bool:
        return bool(self.aggregations or self.finalizations)


class Periods(msgspec.Struct, frozen=True):
    """Seconds: of the dispute window, of the dispute vote, of the margin behind both."""

    dispute_window: int
    dispute_vote: int
    margin: int


def periods(settings: Settings, dispute_period: int) -> Periods:
    """The periods in force with the chain's ``dispute_period``."""
    return Periods(
        dispute_window=dispute_period,
        dispute_vote=settings.dispute_voting_seconds or dispute_period,
        margin=settings.window_margin_seconds,
    )


# Markets whose window or vote has run out, by the projected times.
_RUN_OUT = text(
    """
SELECT market_id, state FROM market.markets
WHERE state = :resolving AND resolution_proposed_at + :window <= :now
    OR state = :disputed AND dispute_initiated_at + :vote <= :now
ORDER BY market_id
"""
).bindparams(
    bindparam("resolving", int(MarketState.RESOLVING), Integer),
    bindparam("disputed", int(MarketState.DISPUTED), Integer),
    bindparam("window", type_=BigInteger),
    bindparam("vote", type_=BigInteger),
    bindparam("now", type_=BigInteger),
)

# Proposals whose counts are fixed but not (all) on chain as far as our intents say.
_FROZEN = text(
    """
SELECT t.market_id, count(i.id) AS intents
FROM voting.tallies AS t
JOIN market.markets AS m ON m.market_id = t.market_id AND m.state = :proposed
LEFT JOIN ops.intents AS i ON i.market_id = t.market_id AND i.round = t.round
    AND i.action = 'aggregate_proposal_votes'
WHERE t.kind = 'proposal' AND t.status = 'frozen'
GROUP BY t.market_id
ORDER BY t.market_id
"""
).bindparams(bindparam("proposed", int(MarketState.PROPOSED), Integer))

# Proposals of an age that asks for people's review, and that they were not asked about yet.
_OLD = text(
    """
SELECT market_id FROM market.markets
WHERE state = :proposed AND created_at <= :before AND NOT EXISTS (
    SELECT FROM ops.alerts
    WHERE key = 'proposal_review:' || encode(market_id, 'hex') AND cleared_at IS NULL
)
"""
).bindparams(
    bindparam("proposed", int(MarketState.PROPOSED), Integer),
    bindparam("before", type_=BigInteger),
)

# Alerts of a plan that are open, but for reviews that are still asked for: their markets
# are not looked at again until they change.
_OPEN_ALERTS = text(
    """
SELECT a.key FROM ops.alerts AS a
LEFT JOIN market.markets AS m
    ON a.key = 'proposal_review:' || encode(m.market_id, 'hex') AND m.state = :proposed
WHERE a.cleared_at IS NULL AND split_part(a.key, ':', 1) = ANY(:topics)
    AND m.market_id IS NULL
"""
).bindparams(
    bindparam("proposed", int(MarketState.PROPOSED), Integer),
    bindparam("topics", list(TOPICS), ARRAY(Text)),
)

_FINALIZED_BY = text("SELECT market_id, round FROM ops.intents WHERE action = 'finalize_market'")


def latest_dispute_period(conn: Connection) -> int | None:
    """The dispute period of the configuration last seen by the ledger."""
    history = config_history.c
    return conn.execute(
        select(history.dispute_period)
        .order_by(history.slot.desc(), history.index_in_block.desc(), history.log_index.desc())
        .limit(1)
    ).scalar_one_or_none()


def run_out(conn: Connection, chain_time: int, times: Periods) -> dict[bytes, MarketState]:
    """Markets that are RESOLVING or DISPUTED past their window or vote, and the margin."""
    rows = conn.execute(
        _RUN_OUT,
        {
            "window": times.dispute_window + times.margin,
            "vote": times.dispute_vote + times.margin,
            "now": chain_time,
        },
    ).all()
    return {row.market_id: MarketState(row.state) for row in rows}


def to_look_at(
    conn: Connection, settings: Settings, *, chain_time: int, times: Periods
) -> tuple[bytes, ...]:
    """Every market that a plan must look at on chain."""
    found = set(run_out(conn, chain_time, times))
    found |= {tally.market_id for tally in tallies.due(conn, settings)}
    found |= {row.market_id for row in conn.execute(_FROZEN).all()}
    before = chain_time - settings.proposal_review_seconds
    found |= set(conn.execute(_OLD, {"before": before}).scalars())
    return tuple(sorted(found))


def stale_alerts(conn: Connection) -> list[str]:
    """Keys of open alerts that a plan must raise again or clear."""
    return list(conn.execute(_OPEN_ALERTS).scalars())


def due(conn: Connection, settings: Settings, *, chain_time: int) -> Due:
    """What a run would find to do at ``chain_time`` (chain seconds). No chain access."""
    waiting = intents.open_intents(conn)
    ready = [intent for intent in waiting if intent.status == "live" or intent.due_in <= 0]
    aggregations = {one.market_id for one in ready if one.action != "finalize_market"}
    finalizations = {one.market_id for one in ready if one.action == "finalize_market"}
    aggregations |= {tally.market_id for tally in tallies.due(conn, settings)}
    aggregations |= {row.market_id for row in conn.execute(_FROZEN).all() if not row.intents}
    period = latest_dispute_period(conn)
    if period is not None:
        finalizations |= _unplanned(conn, run_out(conn, chain_time, periods(settings, period)))
    return Due(tuple(sorted(aggregations)), tuple(sorted(finalizations)), len(waiting))


def _unplanned(conn: Connection, markets: dict[bytes, MarketState]) -> set[bytes]:
    """Those without the intent that their state asks for; a disputed one needs a ballot."""
    if not markets:
        return set()
    disputed = [one for one, state in markets.items() if state == MarketState.DISPUTED]
    votes = tallies.current_of(conn, disputed, "dispute")
    asked = {
        market: 0 if state == MarketState.RESOLVING else finalize_round(votes[market].round)
        for market, state in markets.items()
        if state == MarketState.RESOLVING or votes[market].total
    }
    planned = {(row.market_id, row.round) for row in conn.execute(_FINALIZED_BY).all()}
    return {market for market, number in asked.items() if (market, number) not in planned}


def finalize_round(tally_round: int) -> int:
    """The intent's round of a disputed finalization; 0 is that of an undisputed one."""
    return tally_round + 1
