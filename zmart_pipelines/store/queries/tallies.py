"""Tallies of votes with the rule that they are judged by and what became of them on chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select, true

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import market, ops, voting

_tallies = voting.tallies
_intents = ops.intents
_attempts = ops.attempts
_markets = market.markets
_config = market.config_history

_KEY: Final = (_tallies.c.market_id, _tallies.c.kind, _tallies.c.round)
# An approval names the bundle too, and writes no counts.
_WRITING_ACTIONS: Final = ("aggregate_proposal_votes", "finalize_market")


class Tally(msgspec.Struct, frozen=True):
    """The count of one market, kind and round; see ``store.tables.voting.tallies``.

    Attributes:
        proposal_threshold_bps: The configuration's at the freeze, now for an open tally; None
            before the program was configured. So is ``dispute_threshold_bps``.
        intent_id: The intent that submits it.
        intent_status: Its state.
        signature: Of the transaction that wrote it, once that is final.
        chain_for: The counts in the market's account, by its events, where that transaction wrote
            them; None elsewhere. So is ``chain_against``.
    """

    market_id: bytes
    kind: str
    round: int
    status: str
    votes_for: int
    votes_against: int
    ballots: int
    weight_unit: int | None
    opened_at: datetime
    counted_at: datetime | None
    frozen_at: datetime | None
    frozen_slot: int | None
    frozen_chain_time: int | None
    bundle_cid: str | None
    proposal_threshold_bps: int | None
    dispute_threshold_bps: int | None
    intent_id: int | None
    intent_status: str | None
    signature: bytes | None
    chain_for: int | None
    chain_against: int | None


# A bundle is listed once its tally is frozen.
NEWEST_BUNDLES: Final = Order(
    "bundles",
    (
        KeyColumn("frozen_at", _tallies.c.frozen_at, True),
        *(KeyColumn(column.name, column, True) for column in _KEY),
    ),
)


def tallies_of_market(conn: Connection, market_id: bytes) -> list[Tally]:
    """Return a market's tallies: proposal before dispute, the newest round first."""
    statement = _select(_tallies.c.market_id == market_id)
    return many(Tally, conn.execute(statement.order_by(_KEY[1].desc(), _KEY[2].desc())))


def tallies_of_bundle(conn: Connection, cid: str) -> list[Tally]:
    """Return the tally that a bundle proves; none where the CID is not that of a bundle."""
    return many(Tally, conn.execute(_select(_tallies.c.bundle_cid == cid)))


def find_bundles(
    conn: Connection,
    *,
    kind: str | None = None,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Tally]:
    """Return a page of tallies that have a bundle, the last frozen first.

    Args:
        after: Key in ``NEWEST_BUNDLES`` of the last tally of the page before.
    """
    where: list[ColumnElement[bool]] = [
        _tallies.c.bundle_cid.isnot(None),
        _tallies.c.frozen_at.isnot(None),
    ]
    if kind is not None:
        where.append(_tallies.c.kind == kind)
    statement = NEWEST_BUNDLES.page(_select(*where), after=after, limit=limit, offset=offset)
    return many(Tally, conn.execute(statement))


def _select(*where: ColumnElement[bool]) -> Select[Any]:
    threshold = (
        select(
            _config.c.proposal_approval_threshold.label("proposal_threshold_bps"),
            _config.c.dispute_success_threshold.label("dispute_threshold_bps"),
        )
        .where(_config.c.slot <= func.coalesce(_tallies.c.frozen_slot, 2**63 - 1))
        .order_by(
            _config.c.slot.desc(), _config.c.index_in_block.desc(), _config.c.log_index.desc()
        )
        .limit(1)
        .lateral()
    )
    written = (
        select(
            _intents.c.id.label("intent_id"),
            _intents.c.status.label("intent_status"),
            _attempts.c.signature,
        )
        .select_from(
            _intents.outerjoin(
                _attempts,
                and_(_attempts.c.intent_id == _intents.c.id, _attempts.c.status == "final"),
            )
        )
        .where(
            _intents.c.market_id == _tallies.c.market_id,
            _intents.c.bundle_cid == _tallies.c.bundle_cid,
            _intents.c.action.in_(_WRITING_ACTIONS),
        )
        .order_by(_intents.c.id.desc(), _attempts.c.id.desc())
        .limit(1)
        .lateral()
    )
    is_proposal = _tallies.c.kind == "proposal"
    on_chain = (
        select(
            _counted(is_proposal, "proposal_likes", "dispute_agree").label("chain_for"),
            _counted(is_proposal, "proposal_dislikes", "dispute_disagree").label("chain_against"),
        )
        .where(
            _markets.c.market_id == _tallies.c.market_id,
            written.c.signature.isnot(None),
            or_(is_proposal, _markets.c.state == MarketState.FINALIZED.value),
        )
        .lateral()
    )
    return (
        select(
            *(_tallies.c[name] for name in Tally.__struct_fields__[:14]),
            threshold,
            written,
            on_chain,
        )
        .select_from(
            _tallies.outerjoin(threshold, true())
            .outerjoin(written, true())
            .outerjoin(on_chain, true())
        )
        .where(*where)
    )


def _counted(is_proposal: ColumnElement[bool], proposal: str, dispute: str) -> Any:
    return case((is_proposal, _markets.c[proposal]), else_=_markets.c[dispute])
