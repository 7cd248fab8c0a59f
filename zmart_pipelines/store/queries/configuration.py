"""The program's configuration as the ledger knows it."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.market import config_history


class TradingConfiguration(msgspec.Struct, frozen=True):
    """What decides over trades: the parts of the fee in basis points, and the pause."""

    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    is_paused: bool


class ActingConfiguration(msgspec.Struct, frozen=True):
    """What decides which acts are possible: the pause, and the time for disputes in seconds."""

    dispute_period: int
    is_paused: bool


class VotingConfiguration(msgspec.Struct, frozen=True):
    """What decides over votes: thresholds in basis points, the time for disputes in seconds."""

    proposal_approval_threshold: int
    dispute_success_threshold: int
    dispute_period: int


class ProtocolConfiguration(msgspec.Struct, frozen=True):
    """What the admin can change, and by which slot it was changed last.

    Fees and thresholds are basis points, times are seconds.
    """

    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: int
    dispute_period: int
    is_paused: bool
    changed_at: int
    slot: int


T = TypeVar(
    "T",
    TradingConfiguration,
    ActingConfiguration,
    VotingConfiguration,
    ProtocolConfiguration,
)


def trading_configuration(conn: Connection) -> TradingConfiguration | None:
    """Return the newest configuration; None where the ledger holds no event of it."""
    return _newest(conn, TradingConfiguration)


def acting_configuration(conn: Connection) -> ActingConfiguration | None:
    """Return the newest configuration; None where the ledger holds no event of it."""
    return _newest(conn, ActingConfiguration)


def voting_configuration(conn: Connection) -> VotingConfiguration | None:
    """Return the newest configuration; None where the ledger holds no event of it."""
    return _newest(conn, VotingConfiguration)


def protocol_configuration(conn: Connection) -> ProtocolConfiguration | None:
    """Return the newest configuration; None where the ledger holds no event of it."""
    return _newest(conn, ProtocolConfiguration)


def _newest(conn: Connection, part: type[T]) -> T | None:
    history = config_history.c
    row = conn.execute(
        select(*(history[name] for name in part.__struct_fields__))
        .order_by(
            history.slot.desc(),
            history.index_in_block.desc(),
            history.signature.desc(),
            history.log_index.desc(),
        )
        .limit(1)
    ).one_or_none()
    return None if row is None else one(part, row)
