"""What the tables know of a market and its account does not say."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, Connection, LargeBinary, bindparam, text

from zmart_pipelines.program.accounts import MarketAccount
from zmart_pipelines.submissions.messages import Verdict
from zmart_pipelines.submissions.policies import OffChainFacts
from zmart_pipelines.submissions.verdicts import account_verdict

_FACTS = text(
    """
SELECT requested.market_id, extract(epoch FROM d.ends_at)::bigint AS ends_at, i.arguments
FROM unnest(cast(:market_ids AS bytea[])) AS requested (market_id)
LEFT JOIN community.market_drafts AS d
    ON d.market_id = requested.market_id AND d.matched_at IS NOT NULL
LEFT JOIN LATERAL (
    SELECT arguments FROM ops.intents
    WHERE market_id = requested.market_id AND action = 'resolve_market'
    ORDER BY round DESC LIMIT 1
) AS i ON true
"""
).bindparams(bindparam("market_ids", type_=ARRAY(LargeBinary)))


def off_chain_facts(
    conn: Connection, markets: Sequence[MarketAccount]
) -> dict[bytes, OffChainFacts]:
    """Return the facts of these markets by market id."""
    accounts = {market.market_id: market for market in markets}
    rows = conn.execute(_FACTS, {"market_ids": list(accounts)}).all()
    return {
        row.market_id: OffChainFacts(
            ends_at=row.ends_at,
            resolved_by_us=row.arguments is not None
            and _is_done(accounts[row.market_id], row.arguments),
        )
        for row in rows
    }


def _is_done(market: MarketAccount, arguments: dict[str, object]) -> bool:
    return account_verdict("resolve_market", arguments, market)[0] is Verdict.DONE
