"""Which markets may need something from us, by the tables alone.

Only these are looked at on chain, so that a look costs as much as there is to do and not
as much as there are markets. The projection may be ahead of finalized or behind; the
decision is made from the accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Integer,
    LargeBinary,
    Text,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.program.accounts import MarketAccount, MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.chain import cursors
from zmart_pipelines.store.tables.market import config_history
from zmart_pipelines.submissions import intents
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.messages import Verdict
from zmart_pipelines.submissions.policies import TOPICS, OffChainFacts
from zmart_pipelines.submissions.statuses import ACTIONS, Action
from zmart_pipelines.submissions.verdicts import account_verdict
from zmart_pipelines.voting import change_queue, due_proposals, tallies
from zmart_pipelines.voting.tallies import Tally


class Due(msgspec.Struct, frozen=True):
    """What seems to be due: market ids with counts, approvals or activations to send, market
    ids to finalize or to tell people about, market ids with a resolution to send, and how many
    intents are open. Nothing is decided by it.
    """

    aggregations: tuple[bytes, ...]
    finalizations: tuple[bytes, ...]
    resolutions: tuple[bytes, ...]
    open_intents: int

    def __bool__(self) -> bool:
        return bool(self.aggregations or self.finalizations or self.resolutions)


class VotingPeriods(msgspec.Struct, frozen=True):
    """Seconds: of the dispute window, of the dispute vote, of the margin behind both."""

    dispute_window: int
    dispute_vote: int
    margin: int


def voting_periods(settings: Settings, dispute_period: int) -> VotingPeriods:
    """The periods in force with the chain's ``dispute_period``."""
    return VotingPeriods(
        dispute_window=dispute_period,
        dispute_vote=settings.dispute_voting_seconds or dispute_period,
        margin=settings.window_margin_seconds,
    )


# Markets that are RESOLVING or DISPUTED and whose window or vote has run out, by the projected
# times. The states are literals, so that the planner uses the partial indexes of these states.
_ELAPSED_WINDOWS = text(
    f"""
SELECT market_id, state FROM market.markets
WHERE state = {MarketState.RESOLVING} AND resolution_proposed_at <= :now - :window
UNION ALL
SELECT market_id, state FROM market.markets
WHERE state = {MarketState.DISPUTED} AND dispute_initiated_at <= :now - :vote
ORDER BY market_id
"""  # noqa: S608
).bindparams(
    bindparam("window", type_=BigInteger),
    bindparam("vote", type_=BigInteger),
    bindparam("now", type_=BigInteger),
)

# Those of these markets whose counts an intent of ours already brings on chain.
_AGGREGATED = text(
    """
SELECT market_id, round FROM ops.intents
WHERE action = 'aggregate_proposal_votes' AND market_id = ANY(:markets)
"""
).bindparams(bindparam("markets", type_=ARRAY(LargeBinary)))

# Proposals of an age that asks for people's review, and that they were not asked about yet.
_OLD = text(
    """
SELECT m.market_id FROM market.markets AS m
WHERE m.state = :proposed AND m.created_at > :after AND m.created_at <= :before AND NOT EXISTS (
    SELECT FROM ops.alerts AS a
    WHERE a.topic = 'proposal_review' AND a.market_id = m.market_id AND a.cleared_at IS NULL
)
"""
).bindparams(
    bindparam("proposed", int(MarketState.PROPOSED), Integer),
    bindparam("after", type_=BigInteger),
    bindparam("before", type_=BigInteger),
)

# Active markets whose question is decided, and that people were not told of yet.
_ENDED = text(
    """
SELECT m.market_id FROM market.markets AS m
JOIN community.market_drafts AS d ON d.market_id = m.market_id
WHERE m.state = :active AND d.matched_at IS NOT NULL
    AND d.ends_at > to_timestamp(:since) AND d.ends_at <= to_timestamp(:now)
    AND NOT EXISTS (
        SELECT FROM ops.alerts AS a
        WHERE a.topic = 'resolution_due' AND a.market_id = m.market_id AND a.cleared_at IS NULL
    )
"""
).bindparams(
    bindparam("active", int(MarketState.ACTIVE), Integer),
    bindparam("since", type_=BigInteger),
    bindparam("now", type_=BigInteger),
)

# Resolutions by others than those expected, or too early, that people were not told of yet.
_UNEXPECTED = text(
    f"""
SELECT m.market_id FROM market.markets AS m
LEFT JOIN community.market_drafts AS d
    ON d.market_id = m.market_id AND d.matched_at IS NOT NULL
WHERE m.state = {MarketState.RESOLVING} AND m.resolution_proposed_at > :since
    AND (m.resolver <> ALL(:expected) OR to_timestamp(m.resolution_proposed_at) < d.ends_at)
    AND NOT EXISTS (
        SELECT FROM ops.alerts AS a
        WHERE a.topic = 'unexpected_resolution' AND a.market_id = m.market_id
            AND a.cleared_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM ops.intents AS i
        WHERE i.market_id = m.market_id AND i.action = 'resolve_market'
            AND i.arguments->>'evidence_cid' = m.evidence_hash
            AND (i.arguments->>'outcome')::boolean = m.proposed_outcome
    )
"""  # noqa: S608
).bindparams(bindparam("since", type_=BigInteger), bindparam("expected", type_=ARRAY(LargeBinary)))

# Approved markets that no intent of ours activates.
_APPROVED = text(
    """
SELECT market_id FROM market.markets AS m
WHERE state = :approved AND NOT EXISTS (
    SELECT FROM ops.intents AS i
    WHERE i.market_id = m.market_id AND i.action = 'activate_market'
)
"""
).bindparams(bindparam("approved", int(MarketState.APPROVED), Integer))

# What we know of markets beside their accounts.
_KNOWN = text(
    """
SELECT asked.market_id, extract(epoch FROM d.ends_at)::bigint AS ends_at, i.arguments
FROM unnest(cast(:market_ids AS bytea[])) AS asked (market_id)
LEFT JOIN community.market_drafts AS d
    ON d.market_id = asked.market_id AND d.matched_at IS NOT NULL
LEFT JOIN LATERAL (
    SELECT arguments FROM ops.intents
    WHERE market_id = asked.market_id AND action = 'resolve_market'
    ORDER BY round DESC LIMIT 1
) AS i ON true
"""
).bindparams(bindparam("market_ids", type_=ARRAY(LargeBinary)))

# Of these alerts people were told once and for all: they stand while the market is in the
# state, and their markets are not looked at again until they change.
_STANDING = {
    "proposal_review": MarketState.PROPOSED,
    "resolution_due": MarketState.ACTIVE,
    "unexpected_resolution": MarketState.RESOLVING,
}

# The other open alerts of a plan, which each plan raises again or clears.
_PASSING = text(
    "SELECT topic, market_id, subject FROM ops.alerts"
    " WHERE cleared_at IS NULL AND topic = ANY(:topics)"
).bindparams(
    bindparam("topics", [one for one in TOPICS if one not in _STANDING], ARRAY(Text)),
)

# Open alerts that stand although their market has moved on: of all markets, or of these keys.
_OUTLIVED = """
SELECT a.topic, a.market_id, a.subject
FROM unnest(cast(:topics AS text[]), cast(:states AS int[])) AS standing (topic, state)
JOIN ops.alerts AS a ON a.topic = standing.topic AND a.cleared_at IS NULL
LEFT JOIN market.markets AS m ON m.state = standing.state AND m.market_id = a.market_id
WHERE m.market_id IS NULL
"""
_TOLD = (
    bindparam("topics", list(_STANDING), ARRAY(Text)),
    bindparam("states", [int(state) for state in _STANDING.values()], ARRAY(Integer)),
)
_OUTLIVED_OF_ALL = text(_OUTLIVED).bindparams(*_TOLD)
_OUTLIVED_OF = text(f"{_OUTLIVED} AND a.market_id = ANY(:markets)").bindparams(
    *_TOLD, bindparam("markets", type_=ARRAY(LargeBinary))
)

_FINALIZED_BY = text(
    """
SELECT market_id, round FROM ops.intents
WHERE action = 'finalize_market' AND market_id = ANY(:markets)
"""
).bindparams(bindparam("markets", type_=ARRAY(LargeBinary)))

# Chain seconds: of what became due in the last of these people are told at once, of older
# things, which were missed then, every so often.
_RECENT = 3600
_ALL_EVERY = 600
_LOOKER = "candidates:{}"


def latest_dispute_period(conn: Connection) -> int | None:
    """The dispute period of the configuration last seen by the ledger."""
    history = config_history.c
    return conn.execute(
        select(history.dispute_period)
        .order_by(history.slot.desc(), history.index_in_block.desc(), history.log_index.desc())
        .limit(1)
    ).scalar_one_or_none()


def elapsed_windows(
    conn: Connection, chain_time: int, times: VotingPeriods
) -> dict[bytes, MarketState]:
    """Markets that are RESOLVING or DISPUTED past their window or vote, and the margin."""
    rows = conn.execute(
        _ELAPSED_WINDOWS,
        {
            "window": times.dispute_window + times.margin,
            "vote": times.dispute_vote + times.margin,
            "now": chain_time,
        },
    ).all()
    return {row.market_id: MarketState(row.state) for row in rows}


def to_look_at(
    conn: Connection, settings: Settings, *, chain_time: int, times: VotingPeriods
) -> tuple[bytes, ...]:
    """Every market that a plan must look at on chain."""
    found = set(elapsed_windows(conn, chain_time, times))
    look = due_proposals.scan_proposals(conn, settings)
    found |= {tally.market_id for tally in (*look.due, *look.frozen)}
    since = _since(conn, "plan", chain_time)
    age = settings.proposal_review_seconds
    found |= set(conn.execute(_OLD, {"after": since - age, "before": chain_time - age}).scalars())
    found |= _to_activate(conn, settings)
    found |= _to_tell(conn, settings, since, chain_time)
    return tuple(sorted(found))


def _to_activate(conn: Connection, settings: Settings) -> set[bytes]:
    return set(conn.execute(_APPROVED).scalars()) if settings.auto_activate else set()


def _to_tell(conn: Connection, settings: Settings, since: int, chain_time: int) -> set[bytes]:
    """Markets whose resolution is due or unexpected since then, where people do not know yet."""
    expected = [bytes(address) for address in settings.resolvers]
    found = set(conn.execute(_ENDED, {"since": since, "now": chain_time}).scalars())
    found |= set(conn.execute(_UNEXPECTED, {"since": since, "expected": expected}).scalars())
    return found


def _since(conn: Connection, looker: str, chain_time: int) -> int:
    """How far back a look by the tables goes: to the beginning every so often, so that many
    markets that people know of do not make each look dear.
    """
    cursor = cursors.c
    name = _LOOKER.format(looker)
    last = conn.execute(select(cursor.slot).where(cursor.name == name)).scalar()
    if last is not None and last <= chain_time < last + _ALL_EVERY:
        return chain_time - _RECENT
    conn.execute(
        upsert(cursors)
        .values(name=name, slot=chain_time)
        .on_conflict_do_update(index_elements=["name"], set_={"slot": chain_time})
    )
    return 0


def off_chain_facts(
    conn: Connection, markets: Sequence[MarketAccount]
) -> dict[bytes, OffChainFacts]:
    """What we know of these markets beside their accounts."""
    accounts = {market.market_id: market for market in markets}
    rows = conn.execute(_KNOWN, {"market_ids": list(accounts)}).all()
    return {
        row.market_id: OffChainFacts(
            ends_at=row.ends_at,
            resolved_by_us=row.arguments is not None
            and account_verdict("resolve_market", row.arguments, accounts[row.market_id])[0]
            is Verdict.DONE,
        )
        for row in rows
    }


def alerts_to_recheck(conn: Connection, chain_time: int | None = None) -> list[AlertKey]:
    """Keys of open alerts that a plan must raise again or clear.

    :param chain_time: looks only at alerts that are raised by each plan, and at those of
        markets that moved since the last such look (at all of them every so often), and is
        done with these moves once the caller commits. Without it: all.
    """
    keys = [AlertKey(*row) for row in conn.execute(_PASSING)]
    if chain_time is None or _since(conn, "alerts", chain_time) == 0:
        return keys + [AlertKey(*row) for row in conn.execute(_OUTLIVED_OF_ALL)]
    moves = change_queue.pending(conn, "state")
    change_queue.dequeue(conn, [number for numbers in moves.values() for number in numbers])
    if moves:
        outlived = conn.execute(_OUTLIVED_OF, {"markets": list(moves)})
        keys += [AlertKey(*row) for row in outlived]
    return keys


def pending_resolutions(conn: Connection) -> tuple[bytes, ...]:
    """Markets with a resolution that is live, or that is due to be tried."""
    return _ready(intents.open_intents(conn))["resolve_market"]


def _ready(waiting: Sequence[Intent]) -> dict[Action, tuple[bytes, ...]]:
    """The markets of the open intents that may go on now, by action."""
    ready: dict[Action, set[bytes]] = {action: set() for action in ACTIONS}
    for intent in waiting:
        if intent.status == "live" or intent.due_in <= 0:
            ready[intent.action].add(intent.market_id)
    return {action: tuple(sorted(markets)) for action, markets in ready.items()}


def due(conn: Connection, settings: Settings, *, chain_time: int) -> Due:
    """What a run would find to do at ``chain_time`` (chain seconds). No chain access.

    News of votes that ask for nothing are done with once the caller commits.
    """
    waiting = intents.open_intents(conn)
    ready = _ready(waiting)
    resolutions = set(ready.pop("resolve_market"))
    finalizations = set(ready.pop("finalize_market"))
    aggregations = set().union(*ready.values()) | _to_activate(conn, settings)
    look = due_proposals.scan_proposals(conn, settings)
    aggregations |= {tally.market_id for tally in look.due}
    aggregations |= _unsent(conn, look.frozen)
    period = latest_dispute_period(conn)
    if period is not None:
        finalizations |= _unplanned(
            conn, elapsed_windows(conn, chain_time, voting_periods(settings, period))
        )
    finalizations |= _to_tell(conn, settings, _since(conn, "sensor", chain_time), chain_time)
    return Due(
        tuple(sorted(aggregations)),
        tuple(sorted(finalizations)),
        tuple(sorted(resolutions)),
        len(waiting),
    )


def _unsent(conn: Connection, frozen: Sequence[Tally]) -> set[bytes]:
    """Those whose counts no intent of ours brings on chain."""
    wanted = {(tally.market_id, tally.round) for tally in frozen}
    if not wanted:
        return set()
    rows = conn.execute(_AGGREGATED, {"markets": [market_id for market_id, _ in wanted]}).all()
    return {market_id for market_id, _ in wanted - {(row.market_id, row.round) for row in rows}}


def _unplanned(conn: Connection, markets: dict[bytes, MarketState]) -> set[bytes]:
    """Those without the intent that their state asks for; a disputed one needs a ballot."""
    if not markets:
        return set()
    disputed = [one for one, state in markets.items() if state == MarketState.DISPUTED]
    votes = tallies.current_tallies(conn, disputed, "dispute")
    asked = {
        market: 0 if state == MarketState.RESOLVING else finalize_round(votes[market].round)
        for market, state in markets.items()
        if state == MarketState.RESOLVING or votes[market].total
    }
    rows = conn.execute(_FINALIZED_BY, {"markets": list(asked)}).all()
    planned = {(row.market_id, row.round) for row in rows}
    return {market for market, number in asked.items() if (market, number) not in planned}


def finalize_round(tally_round: int) -> int:
    """The intent's round of a disputed finalization; 0 is that of an undisputed one."""
    return tally_round + 1
