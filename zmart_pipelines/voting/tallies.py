"""Tallies: counting ballots, and the freeze after which no ballot is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from solders.signature import Signature
from sqlalchemy import BigInteger, ColumnElement, Connection, Row, func, insert, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import insert as upsert

from zmart_pipelines.program.accounts import VoteKind, VoteRecord
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import voting as tables
from zmart_pipelines.voting import change_queue, tally_statements
from zmart_pipelines.voting.ballot import Kind

Status = Literal["open", "frozen", "reopened"]

_ballots = tables.ballots
_tallies = tables.tallies
_counted = tables.counted_ballots

VOTE_KIND: dict[Kind, VoteKind] = {"proposal": VoteKind.PROPOSAL, "dispute": VoteKind.DISPUTE}


class Tally(msgspec.Struct, frozen=True):
    """The count of one market, kind and round.

    An open tally counts the effective ballots of now, a vote on chain before a stored ballot. A
    frozen one is what is submitted.

    Attributes:
        votes_for: Sum of weights.
        votes_against: Sum of weights.
        frozen_slot: Finalized slot of the freeze.
        frozen_chain_time: The chain's clock at the freeze, Unix seconds.
        bundle_cid: CID of the pinned bundle, once it is known.
        ballots: Number of wallets.
        weight_unit: Shares (9 decimals) that make one vote; None: each wallet counts once.
        opened_chain_time: The chain's clock when operators opened this round, Unix seconds; None
            in round 0, which begins with the market's state.
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
    ballots: int = 0
    weight_unit: int | None = None
    opened_chain_time: int | None = None

    @property
    def total(self) -> int:
        """All votes, by their weights."""
        return self.votes_for + self.votes_against


class CountedBallot(msgspec.Struct, frozen=True):
    """One ballot of a frozen tally, with its proof as the bundle contains it.

    The proof of a wallet's ballot is ``{"scheme", "message", "signature"}`` (base58). That of a
    vote on chain is ``{"voted_at"}``: the address of its record follows from market and wallet.
    ``weight`` is 1 unless the tally has a weight unit: then the whole units that the wallet held
    at the dispute, at least 1.
    """

    wallet: bytes
    source: Literal["wallet", "chain"]
    choice: bool
    proof: dict[str, Any]
    weight: int = 1


class FrozenTally(msgspec.Struct, frozen=True):
    """A frozen tally and its ballots, ordered by wallet."""

    tally: Tally
    ballots: tuple[CountedBallot, ...]


class TallyMismatch(msgspec.Struct, frozen=True):
    """A tally that does not equal the count of its ballots.

    Attributes:
        stored: Votes for, votes against and ballots of the row.
        counted: The same of the ballots.
        not_counted: Ballots stored in a frozen round that the tally does not count.
        not_stored: Counted wallet ballots that are not stored so.
    """

    market_id: bytes
    kind: Kind
    round: int
    status: Status
    stored: tuple[int, int, int]
    counted: tuple[int, int, int]
    not_counted: int
    not_stored: int


def current_tally(conn: Connection, market_id: bytes, kind: Kind) -> Tally:
    """Return the latest round's tally; zero counts in round 0 before the first ballot."""
    return current_tallies(conn, [market_id], kind)[market_id]


def current_tallies(
    conn: Connection, market_ids: Sequence[bytes], kind: Kind
) -> dict[bytes, Tally]:
    """Return the latest round's tally of each of these markets."""
    rows = conn.execute(
        tally_statements.CURRENT, {"market_ids": list(set(market_ids)), "kind": kind}
    ).all()
    return {row.market_id: tally_of(row) for row in rows}


def weight_unit(settings: Settings, kind: Kind) -> int | None:
    """Return the least shares that make one vote in a new round; None: each wallet counts once.

    The round begins with a larger unit where the votes of all holders would not fit a u32.
    """
    return settings.dispute_weight_unit if kind == "dispute" else None


def recount_tally(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> Tally:
    """Recount an open tally from the stored ballots; return the effective tally.

    A frozen tally is returned as it was frozen. Waits for transactions that are casting ballots.

    Raises:
        KeyError: The round has no ballot.
    """
    row = _lock(conn, market_id, kind, round_number)
    if row.status != "open":
        return tally_of(row)
    likes = func.coalesce(func.sum(_ballots.c.weight).filter(_ballots.c.choice), 0)
    against = func.coalesce(func.sum(_ballots.c.weight).filter(~_ballots.c.choice), 0)
    counts = conn.execute(
        select(likes, against, func.count()).where(
            *_key_of(_ballots, market_id, kind, round_number)
        )
    ).one()
    if tuple(counts) != (row.votes_for, row.votes_against, row.ballots):
        change_queue.enqueue(conn, market_id, kind)
    conn.execute(
        update(_tallies)
        .where(*_key_of(_tallies, market_id, kind, round_number))
        .values(
            votes_for=counts[0],
            votes_against=counts[1],
            ballots=counts[2],
            counted_at=func.now(),
        )
    )
    return current_tally(conn, market_id, kind)  # an open round is the latest


def recount_changed(conn: Connection, kind: Kind, also: Iterable[bytes] = ()) -> list[Tally]:
    """Recount the open votes in the change queue, and those of the markets in ``also``.

    Disputes are dequeued once the caller commits; proposals stay queued for
    :func:`due_proposals.scan_proposals`.
    """
    queued = change_queue.pending(conn, kind)
    counted = [
        _recount_stored(conn, tally)
        for tally in current_tallies(conn, [*queued, *also], kind).values()
        if tally.status == "open"
    ]
    if kind == "dispute":
        change_queue.dequeue(conn, [number for numbers in queued.values() for number in numbers])
    return counted


def _recount_stored(conn: Connection, tally: Tally) -> Tally:
    try:
        return recount_tally(conn, tally.market_id, tally.kind, tally.round)
    except KeyError:  # votes on chain alone: no row and no stored ballot
        return tally


def effective(
    ballots: Iterable[CountedBallot],
    chain_votes: Iterable[VoteRecord],
    kind: Kind,
    weights: Mapping[bytes, int] | None = None,
) -> tuple[CountedBallot, ...]:
    """Return one ballot per wallet, a vote on chain before a stored one, by wallet. Pure.

    Args:
        ballots: The stored ballots.
        chain_votes: The VoteRecords of the market.
        kind: Only votes of this kind are counted.
        weights: The weights of votes on chain by wallet; missing ones weigh 1.
    """
    counted = {ballot.wallet: ballot for ballot in ballots}
    for vote in chain_votes:
        if vote.vote_type == VOTE_KIND[kind]:
            counted[vote.user] = CountedBallot(
                wallet=vote.user,
                source="chain",
                choice=vote.vote,
                proof={"voted_at": vote.voted_at},
                weight=(weights or {}).get(vote.user, 1),
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
    unit: int | None = None,
) -> FrozenTally:
    """Close the round and record the ballots that count. Committed by the caller.

    These are the ballots stored here and ``chain_votes``; where a wallet has both, the vote on
    chain counts. Waits for transactions that are casting ballots; later ones get VotingClosed. A
    tally that is already frozen is returned as it was frozen.

    Args:
        conn: The transaction.
        market_id: The market.
        kind: The vote.
        round_number: The round.
        slot: Finalized slot at which ``chain_votes`` were read.
        chain_time: The chain's clock, Unix seconds.
        chain_votes: The VoteRecords at that slot.
        unit: Least weight unit of a round without a ballot; otherwise its row has the unit.
    """
    if round_number == 0:  # later ones have a row since they were opened
        first = upsert(_tallies).values(
            market_id=market_id,
            kind=kind,
            round=round_number,
            weight_unit=_fitting_unit(market_id, unit),
        )
        conn.execute(first.on_conflict_do_nothing())
    row = _lock(conn, market_id, kind, round_number)
    if row.status != "open":
        return read_frozen(conn, market_id, kind, round_number)
    # A separate statement after the lock, so that it sees all committed ballots.
    stored = conn.execute(
        select(_ballots).where(*_key_of(_ballots, market_id, kind, round_number))
    ).all()
    weights = _chain_weights(conn, row, chain_votes)
    counted = effective(map(_counted_ballot, stored), chain_votes, kind, weights)
    if counted:
        key = {"market_id": market_id, "kind": kind, "round": round_number}
        conn.execute(insert(_counted), [key | msgspec.structs.asdict(ballot) for ballot in counted])
    votes_for = sum(ballot.weight for ballot in counted if ballot.choice)
    conn.execute(
        update(_tallies)
        .where(*_key_of(_tallies, market_id, kind, round_number))
        .values(
            status="frozen",
            votes_for=votes_for,
            votes_against=sum(ballot.weight for ballot in counted) - votes_for,
            ballots=len(counted),
            frozen_slot=slot,
            frozen_chain_time=chain_time,
            frozen_at=func.now(),
            counted_at=func.now(),
        )
    )
    change_queue.enqueue(conn, market_id, kind)
    return read_frozen(conn, market_id, kind, round_number)


def _chain_weights(
    conn: Connection, tally: Row[Any], votes: Sequence[VoteRecord]
) -> dict[bytes, int]:
    if tally.weight_unit is None or not votes:
        return {}
    rows = conn.execute(
        tally_statements.CHAIN_VOTE_WEIGHTS,
        {
            "wallets": [vote.user for vote in votes],
            "market_id": tally.market_id,
            "unit": tally.weight_unit,
        },
    )
    return {row.wallet: row.weight for row in rows}


def read_frozen(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> FrozenTally:
    """Return a frozen (or reopened) tally with the ballots it counts.

    Raises:
        KeyError: The round is neither frozen nor reopened.
    """
    row = conn.execute(
        select(_tallies).where(*_key_of(_tallies, market_id, kind, round_number))
    ).one_or_none()
    if row is None or row.status == "open":
        raise KeyError((market_id.hex(), kind, round_number))
    rows = conn.execute(
        select(
            _counted.c.wallet,
            _counted.c.source,
            _counted.c.choice,
            _counted.c.proof,
            _counted.c.weight,
        )
        .where(*_key_of(_counted, market_id, kind, round_number))
        .order_by(_counted.c.wallet)
    ).all()
    return FrozenTally(
        tally=tally_of(row), ballots=tuple(CountedBallot(**row._mapping) for row in rows)
    )


def set_bundle(conn: Connection, tally: Tally, cid: str) -> None:
    """Record the bundle of a frozen tally.

    Raises:
        ValueError: Another CID is recorded; the CID is a function of the tally.
    """
    changed = conn.execute(
        update(_tallies)
        .where(
            *_key_of(_tallies, tally.market_id, tally.kind, tally.round),
            _tallies.c.status == "frozen",
            func.coalesce(_tallies.c.bundle_cid, cid) == cid,
        )
        .values(bundle_cid=cid)
    )
    if changed.rowcount != 1:
        raise ValueError(f"market {tally.market_id.hex()}: the tally has another bundle than {cid}")


def reopen(conn: Connection, market_id: bytes, kind: Kind, chain_time: int) -> int:
    """Mark the latest frozen round as reopened and open the next; return its number.

    For operators only. Ballots of the previous round stay stored and do not count in the new one.
    Its weight unit is that of the previous round, or the smallest larger one with which the votes
    of all holders fit a u32.

    Args:
        conn: The caller commits.
        market_id: The market voted on.
        kind: Of vote.
        chain_time: The chain's clock, Unix seconds: the vote of the new round begins then.

    Raises:
        KeyError: The latest round is not frozen.
    """
    tally = current_tally(conn, market_id, kind)
    if tally.status != "frozen":
        raise KeyError((market_id.hex(), kind))
    _lock(conn, market_id, kind, tally.round)
    conn.execute(
        update(_tallies)
        .where(*_key_of(_tallies, market_id, kind, tally.round))
        .values(status="reopened")
    )
    conn.execute(
        insert(_tallies).values(
            market_id=market_id,
            kind=kind,
            round=tally.round + 1,
            weight_unit=_fitting_unit(market_id, tally.weight_unit),
            opened_chain_time=chain_time,
        )
    )
    change_queue.enqueue(conn, market_id, kind)
    return tally.round + 1


def _fitting_unit(market_id: bytes, unit: int | None) -> ColumnElement[int | None]:
    return func.voting.fitting_weight_unit(market_id, sql_cast(unit, BigInteger), type_=BigInteger)


def find_mismatches(conn: Connection) -> list[TallyMismatch]:
    """Return every tally that differs from its ballots; there must be none."""
    return [
        TallyMismatch(
            market_id=row.market_id,
            kind=row.kind,
            round=row.round,
            status=row.status,
            stored=(row.votes_for, row.votes_against, row.ballots),
            counted=(row.counted_for, row.counted_against, row.counted),
            not_counted=row.not_counted,
            not_stored=row.not_stored,
        )
        for row in conn.execute(tally_statements.TALLY_MISMATCHES).all()
    ]


def _key_of(table: Any, market_id: bytes, kind: Kind, round_number: int) -> tuple[Any, ...]:
    return (
        table.c.market_id == market_id,
        table.c.kind == kind,
        table.c.round == round_number,
    )


def _lock(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> Row[Any]:
    row = conn.execute(
        select(_tallies).where(*_key_of(_tallies, market_id, kind, round_number)).with_for_update()
    ).one_or_none()
    if row is None:
        raise KeyError((market_id.hex(), kind, round_number))
    return row


def tally_of(row: Row[Any]) -> Tally:
    """Return a row of this package's statements as a tally."""
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
        weight=row.weight,
    )
