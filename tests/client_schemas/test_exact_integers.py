"""Integers that may exceed 2^53 are repeated as text under ``exact``, in every schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import app  # noqa: F401  imports every module that defines an answer's schema
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.client_schemas.formats import ExactIntegers, large_integer_fields
from zmart_pipelines.client_schemas.frames import FRAME_SCHEMAS
from zmart_pipelines.client_schemas.markets import Market
from zmart_pipelines.client_schemas.positions import PortfolioPosition, Position
from zmart_pipelines.client_schemas.trading import Trade
from zmart_pipelines.client_schemas.voting import Vote

# Integers that stay below 2^53, and why.
BOUNDED = {
    "9-decimal prices between 0 and 1": {
        "price_yes", "price_no", "price", "open", "high", "low", "close", "previous_close",
        "price_after", "price_24h_ago", "change_24h", "high_24h", "low_24h", "step",
    },
    "slots and block heights": {
        "slot", "as_of_slot", "first_slot", "last_slot", "last_valid_block_height",
    },
    "slots of the chain's accounts, of readers and of transactions, and numbers of slots": {
        "confirmed_slot", "covered_slot", "covered_slots", "landed_slot", "frozen_slot", "slots",
        "market_slot", "position_slot",
    },
    "Unix seconds": {"time", "begins", "ends"},
    "Unix milliseconds": {"timestamp"},
    "seconds of a period": {"seconds_left", "seconds", "interval_seconds"},
    "positions of the stream": {"since", "position", "head"},
    "places in a block and a log": {"index_in_block", "log_index"},
    "basis points": {
        "share_bps", "threshold_bps", "change_24h_bps", "protocol", "resolver",
        "liquidity_provider", "protocol_fee_bps", "resolver_reward_bps",
        "liquidity_provider_fee_bps", "proposal_approval_threshold", "dispute_success_threshold",
    },
    "numbers of the program's enumerations": {"state", "state_code"},
    "the program's u32 counters": {
        "proposal_likes", "proposal_dislikes", "dispute_agree", "dispute_disagree",
    },
    "counts of rows and row numbers": {
        "trades_count", "round", "id", "count", "total", "total_trades", "unique_traders",
        "markets_traded", "markets_created", "total_votes", "proposal_votes", "dispute_votes",
        "discussions", "settled_markets", "trades", "delivery", "transactions", "new_events",
        "failures", "unreadable", "trades_24h", "created_24h", "rank", "resolved", "resolved_right",
        "replies", "up_votes", "comments", "part", "parts", "waiting", "sockets", "intent",
        "transaction_count", "owed_count", "by_webhook", "deliveries_waiting", "rows", "inserted",
        "connections", "max_connections",
    },
    "what the request or a setting limits": {
        "limit", "offset", "b_parameter", "initial_liquidity", "deadline_seconds", "status",
        "degraded", "down", "size", "window_seconds", "expires_in", "wait",
    },
    "counts of rows about the ledger and about submissions": {
        "intent_id", "attempt_id", "attempts", "sends", "gaps", "open_gaps", "uncovered_intervals",
        "occurrences", "markets", "ballots", "minimum_ballots", "in_flight", "lag",
        "missing_event", "decode_error", "drift",
    },
    "shares of all votes, in basis points": {"share_bps", "threshold_bps", "right_bps"},
    "a setting below 2^53": {"weight_unit"},
    "numbers of the program's errors": {"code"},
    "a duration in seconds": {"silent_seconds"},
}  # fmt: skip
# Limited by the request in a draft alone: a market's are the chain's u64.
DRAFT_FIELDS = BOUNDED["what the request or a setting limits"] & {
    "b_parameter",
    "initial_liquidity",
}
# Where a name is large elsewhere: the smallest trade is far below a market's parameter b; fees of
# transactions are limited by a setting, and compute units by the chain.
BOUNDED_IN = {
    "SmallestTrade": {"cost", "shares"},
    "Reconciliation": {"positions"},
    "ValuePoint": {"positions"},
    "Submission": {"fees"},
    "SubmissionAttempt": {"fee", "compute_units"},
    "SubmissionDetail": {"fees"},
    "TransactionReading": {"fee"},
    "LastTransaction": {"fee"},
    "TimelineStep": {"fee"},
    # Sizes on a disk.
    "BackupFigures": {"bytes"},
    "DatabaseGrowth": {"bytes"},
    "TableSize": {"bytes"},
    "SystemGrowth": {"database"},
    "TableGrowth": {"bytes"},
}


def answers(cls: type[msgspec.Struct] = msgspec.Struct) -> Iterator[type[msgspec.Struct]]:
    """Yield every schema that an answer or a frame may consist of."""
    for sub in cls.__subclasses__():
        if sub.__module__.startswith(("api.routes", "api.ballot_schema", "zmart_pipelines.client")):
            yield sub
        yield from answers(sub)


ANSWERS = sorted(set(answers()), key=lambda cls: f"{cls.__module__}.{cls.__qualname__}")


def is_integer(hint: Any) -> bool:
    """Whether a field of this type may hold an integer."""
    return hint is int or int in get_args(hint)


@pytest.mark.parametrize("schema", ANSWERS, ids=lambda cls: cls.__qualname__)
def test_every_integer_is_repeated_or_known_to_be_small(schema: type[msgspec.Struct]) -> None:
    large = {name for name, _ in large_integer_fields(schema)}
    small = set().union(*BOUNDED.values(), BOUNDED_IN.get(schema.__qualname__, ()))
    if schema.__qualname__ != "Draft":
        small -= DRAFT_FIELDS
    hints = get_type_hints(schema)
    integers = {name for name in schema.__struct_fields__ if is_integer(hints[name])}
    assert integers - large <= small
    assert not large or issubclass(schema, ExactIntegers)


def placeholder(hint: Any) -> Any:
    """A value for a field that the property is not about."""
    if hint in (bool, float, str):
        return hint()
    if is_integer(hint):
        return 0
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return instance(hint, {})
    return None


def instance(schema: type[msgspec.Struct], values: dict[str, int]) -> Any:
    """An instance with these integers and placeholders elsewhere."""
    hints = get_type_hints(schema)
    required = [name for name in schema.__struct_fields__ if name != "exact"]
    return schema(**{name: placeholder(hints[name]) for name in required} | values)


@pytest.mark.parametrize(
    "schema",
    [Market, Trade, Position, Vote, *(s for s in FRAME_SCHEMAS if issubclass(s, ExactIntegers))],
)
@given(data=st.data())
def test_integers_above_2_53_are_exact_as_text(
    schema: type[ExactIntegers], data: st.DataObject
) -> None:
    fields = large_integer_fields(schema)
    assert fields
    values = {
        name: data.draw(st.integers(min_value=2**53 + 1, max_value=2**64 - 1)) for name, _ in fields
    }
    shown = json.loads(msgspec.json.encode(instance(schema, values)))
    assert shown["exact"] == {encoded: str(values[name]) for name, encoded in fields}
    assert all(int(shown["exact"][encoded]) == shown[encoded] for _, encoded in fields)


def test_portfolio_amounts_are_text() -> None:
    hints = get_type_hints(PortfolioPosition)
    assert [name for name, hint in hints.items() if hint is int] == ["state"]


def test_times_have_milliseconds_and_z() -> None:
    moment = datetime(2026, 11, 20, 8, 0, 0, 123_999, tzinfo=UTC)
    assert formats.iso8601(moment) == "2026-11-20T08:00:00.123Z"
    assert formats.chain_time(1_790_000_000) == "2026-09-21T14:13:20.000Z"
    assert [formats.chain_time(value) for value in (None, 0, -5, 253_402_300_800)] == [None] * 4
    assert formats.chain_time(253_402_300_799) == "9999-12-31T23:59:59.000Z"
    assert formats.clamped_chain_time(2**63).year == 9999
    assert formats.clamped_chain_time(-1).year == 1970
