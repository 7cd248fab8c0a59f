"""Counting ballots, and the freeze after which none is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from solders.signature import Signature
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from zmart_pipelines.program.accounts import VoteKind, VoteRecord
from zmart_pipelines.program.lifecycle import meets_threshold
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import market as market_tables
from zmart_pipelines.store.tables import voting as tables
from zmart_pipelines.voting import statements
from zmart_pipelines.voting.ballot import Kind
from zmart_pipelines.voting.casting import VOTING_STATE

Status = Literal["open", "frozen", "reopened"]

_ballots = tables.ballots
_tallies = tables.tallies
_counted = tables.counted_ballots

VOTE_KIND: dict[Kind, VoteKind] = {"proposal": VoteKind.PROPOSAL, "dispute": VoteKind.DISPUTE}


class Tally(msgspec.Struct, frozen=True):
    """The count of one market, kind and round.

    Open: the effective ballots of now, the chain's record first. Frozen: what is submitted.
    """

    market_id: bytes
    kind: Kind
    round: int
    status: Status
    votes_for: int
    votes_against: int
    frozen_slot: int | None = None
    frozen_chain_time: int | None = None
    bundle_cid: str | None = None

    @property
    def total(self) -> int:
        """All ballots counted."""
        return self.votes_for + self.votes_against


class CountedBallot(msgspec.Struct, frozen=True):
    """One ballot of a frozen tally with its proof as it goes into the bundle.

    The proof of a wallet's ballot is ``{"scheme", "message", "signature"}`` (base58); that
    of a vote on chain is ``{"voted_at"}``, its record's address follows from market and
    wallet.
    """

    wallet: bytes
    source: Literal["wallet", "chain"]
    choice: bool
    proof: dict[str, Any]


class FrozenTally(msgspec.Struct, frozen=True):
    """A frozen tally and the ballots it counts, ordered by wallet."""

    tally: Tally
    ballots: tuple[CountedBallot, ...]


class TallyFault(msgspec.Struct, frozen=True):
    """A tally that does not equal its ballots: the counts of the row and of the ballots."""

    market_id: bytes
    kind: Kind
    round: int
    status: Status
    stored: tuple[int, int]
    counted: tuple[int, int]
    dropped: int
    invented: int


def current(conn: Connection, market_id: bytes, kind: Kind) -> Tally:
    """The latest round's tally; zero counts in round 0 where nobody has voted yet."""
    return current_of(conn, [market_id], kind)[market_id]


def current_of(conn: Connection, market_ids: Sequence[bytes], kind: Kind) -> dict[bytes, Tally]:
    """The latest round's tally of each of these markets."""
    rows = conn.execute(
        statements.CURRENT, {"market_ids": list(set(market_ids)), "kind": kind}
    ).all()
    return {row.market_id: _tally(row) for row in rows}


def open_tallies(conn: Connection, kind: Kind) -> list[Tally]:
    """Every open tally with votes, of markets whose projected state takes them."""
    rows = conn.execute(statements.OPEN, {"kind": kind, "state": int(VOTING_STATE[kind])}).all()
    return [_tally(row) for row in rows]


def due(conn: Connection, settings: Settings) -> list[Tally]:
    """Open proposal tallies that reach the least number of ballots and the threshold.

    The threshold is that of the configuration last seen by the ledger (none seen: nothing
    is due); the decision itself reads the chain again.
    """
    history = market_tables.config_history
    threshold = conn.execute(
        select(history.c.proposal_approval_threshold)
        .order_by(
            history.c.slot.desc(), history.c.index_in_block.desc(), history.c.log_index.desc()
        )
        .limit(1)
    ).scalar_one_or_none()
    if threshold is None:
        return []
    return [
        tally
        for tally in open_tallies(conn, "proposal")
        if tally.total >= settings.min_proposal_votes
        and meets_threshold(tally.votes_for, tally.total, threshold)
    ]


def recount(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> Tally:
    """Counts an open tally anew from the stored ballots, stores the result and returns the
    effective tally. A frozen one is returned as it was frozen.

    Waits for casters that are committing. KeyError where nobody has voted in that round.
    """
    row = _lock(conn, market_id, kind, round_number)
    if row.status != "open":
        return _tally(row)
    counts = conn.execute(
        select(
            func.count().filter(_ballots.c.choice),
            func.count().filter(~_ballots.c.choice),
        ).where(*_of(_ballots, market_id, kind, round_number))
    ).one()
    conn.execute(
        update(_tallies)
        .where(*_of(_tallies, market_id, kind, round_number))
        .values(votes_for=counts[0], votes_against=counts[1], counted_at=func.now())
    )
    return current(conn, market_id, kind)  # an open round is the latest


def effective(
    ballots: Iterable[CountedBallot], chain_votes: Iterable[VoteRecord], kind: Kind
) -> tuple[CountedBallot, ...]:
    """One ballot per wallet, the chain's record first, ordered by wallet. Pure."""
    counted = {ballot.wallet: ballot for ballot in ballots}
    for vote in chain_votes:
        if vote.vote_type == VOTE_KIND[kind]:
            counted[vote.user] = CountedBallot(
                wallet=vote.user,
                source="chain",
                choice=vote.vote,
                proof={"voted_at": vote.voted_at},
            )
    return tuple(counted[wallet] for wallet in sorted(counted))


def freeze(
    conn: Connection,
    market_id: bytes,
    kind: Kind,
    round_number: int,
    *,
    slot: int,
    chain_time: int,
    chain_votes: Sequence[VoteRecord],
) -> FrozenTally:
    """Closes the round at finalized ``slot`` and fixes what counts: the ballots stored here
    and ``chain_votes`` (read at that slot), the chain's record first.

    Waits for casters that are committing; whoever comes after sees VotingClosed. A tally
    that is already frozen is returned as it was frozen. Committed by the caller.
    """
    conn.execute(
        upsert(_tallies)
        .values(market_id=market_id, kind=kind, round=round_number)
        .on_conflict_do_nothing()
    )
    if _lock(conn, market_id, kind, round_number).status != "open":
        return frozen(conn, market_id, kind, round_number)
    # A statement of its own after the lock, so that it sees what the casters committed.
    stored = conn.execute(
        select(_ballots).where(*_of(_ballots, market_id, kind, round_number))
    ).all()
    counted = effective(map(_counted_ballot, stored), chain_votes, kind)
    if counted:
        key = {"market_id": market_id, "kind": kind, "round": round_number}
        conn.execute(insert(_counted), [key | msgspec.structs.asdict(ballot) for ballot in counted])
    votes_for = sum(ballot.choice for ballot in counted)
    conn.execute(
        update(_tallies)
        .where(*_of(_tallies, market_id, kind, round_number))
        .values(
            status="frozen",
            votes_for=votes_for,
            votes_against=len(counted) - votes_for,
            frozen_slot=slot,
            frozen_chain_time=chain_time,
            frozen_at=func.now(),
            counted_at=func.now(),
        )
    )
    return frozen(conn, market_id, kind, round_number)


def frozen(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> FrozenTally:
    """A frozen (or reopened) tally with the ballots it counts. KeyError where it is neither."""
    row = conn.execute(
        select(_tallies).where(*_of(_tallies, market_id, kind, round_number))
    ).one_or_none()
    if row is None or row.status == "open":
        raise KeyError((market_id.hex(), kind, round_number))
    rows = conn.execute(
        select(_counted.c.wallet, _counted.c.source, _counted.c.choice, _counted.c.proof)
        .where(*_of(_counted, market_id, kind, round_number))
        .order_by(_counted.c.wallet)
    ).all()
    return FrozenTally(
        tally=_tally(row), ballots=tuple(CountedBallot(**row._mapping) for row in rows)
    )


def set_bundle(conn: Connection, tally: Tally, cid: str) -> None:
    """Records the bundle of a frozen tally. Its CID is a function of the tally, so a second
    value is a fault and raises ValueError.
    """
    changed = conn.execute(
        update(_tallies)
        .where(
            *_of(_tallies, tally.market_id, tally.kind, tally.round),
            _tallies.c.status == "frozen",
            func.coalesce(_tallies.c.bundle_cid, cid) == cid,
        )
        .values(bundle_cid=cid)
    )
    if changed.rowcount != 1:
        raise ValueError(f"market {tally.market_id.hex()}: the tally has another bundle than {cid}")


def reopen(conn: Connection, market_id: bytes, kind: Kind) -> int:
    """Ops only: marks the latest frozen round as reopened and opens the next; its number.

    Ballots of the round before stay on record and do not count in the new one. KeyError
    where the latest round is not frozen.
    """
    tally = current(conn, market_id, kind)
    if tally.status != "frozen":
        raise KeyError((market_id.hex(), kind))
    _lock(conn, market_id, kind, tally.round)
    conn.execute(
        update(_tallies)
        .where(*_of(_tallies, market_id, kind, tally.round))
        .values(status="reopened")
    )
    conn.execute(insert(_tallies).values(market_id=market_id, kind=kind, round=tally.round + 1))
    return tally.round + 1


def faults(conn: Connection) -> list[TallyFault]:
    """Every tally that differs from its ballots ("tally equals ballots"); good: none."""
    return [
        TallyFault(
            market_id=row.market_id,
            kind=row.kind,
            round=row.round,
            status=row.status,
            stored=(row.votes_for, row.votes_against),
            counted=(row.counted_for, row.counted_against),
            dropped=row.dropped,
            invented=row.invented,
        )
        for row in conn.execute(statements.COMPARED).all()
    ]


def _of(table: Any, market_id: bytes, kind: Kind, round_number: int) -> tuple[Any, ...]:
    return (
        table.c.market_id == market_id,
        table.c.kind == kind,
        table.c.round == round_number,
    )


def _lock(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> Row[Any]:
    row = conn.execute(
        select(_tallies).where(*_of(_tallies, market_id, kind, round_number)).with_for_update()
    ).one_or_none()
    if row is None:
        raise KeyError((market_id.hex(), kind, round_number))
    return row


def _tally(row: Row[Any]) -> Tally:
    return Tally(**{name: getattr(row, name) for name in Tally.__struct_fields__})


def _counted_ballot(row: Row[Any]) -> CountedBallot:
    return CountedBallot(
        wallet=row.wallet,
        source="wallet",
        choice=row.choice,
        proof={
            "scheme": row.scheme,
            "message": row.message,
            "signature": str(Signature(row.signature)),
        },
    )
