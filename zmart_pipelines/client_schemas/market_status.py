"""The status of one market: what it waits for, and what stands in the way."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from zmart_pipelines.client_schemas.formats import ExactIntegers, LargeInt, StateName

Actor: TypeAlias = Literal["voters", "creator", "traders", "operators", "pipelines", "winners"]
BlockerKind: TypeAlias = Literal["switch", "breaker", "submission", "run", "alert"]


class OpenVote(ExactIntegers, frozen=True, kw_only=True):
    """The counts of the open vote against what it needs.

    `share_bps` of the weights are in favour, in basis points rounded down; `threshold_bps` must be.
    `ballots` wallets voted; without `minimum_ballots` nothing is submitted.
    """

    kind: Literal["proposal", "dispute"]
    round: int
    votes_for: LargeInt
    votes_against: LargeInt
    share_bps: int
    threshold_bps: int
    ballots: int
    minimum_ballots: int
    is_frozen: bool


class LastTransaction(msgspec.Struct, frozen=True):
    """The market's newest transaction in the ledger; `fee` is in lamports, null where unknown."""

    signature: str
    event: str
    slot: int
    commitment: str
    block_time: str | None
    fee: int | None


class Blocker(msgspec.Struct, frozen=True):
    """Something that keeps the market from going on, or that an operator should know.

    `name` is the action that is switched off, the breaker, the action of the submission, the job
    whose runs fail, or the topic of the alert.
    """

    kind: BlockerKind
    name: str
    since: str | None
    detail: dict[str, Any]


class MarketStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a market waits for, as far as the ledger knows it.

    `waits_for` says it in words, `actor` who must act (null: no further act is possible).
    `deadline` is when that changes by itself, by the chain's clock, whose time is `chain_time`.
    `next_action` is the transaction that the pipelines send next, if any; `blockers` what is in its
    way, and the market's open alerts.
    """

    market_id: str
    address: str
    question: str
    state: StateName
    state_since: str | None
    chain_time: str
    waits_for: str
    actor: Actor | None
    deadline: str | None
    seconds_left: int | None
    next_action: str | None
    vote: OpenVote | None
    last_transaction: LastTransaction | None
    blockers: list[Blocker]
    as_of_slot: int
    commitment: str
