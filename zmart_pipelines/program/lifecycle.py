"""The market's stages: which may follow which, windows and thresholds, as the program has them.

Times are the cluster's Unix seconds; shares of votes are basis points, always rounded down.
"""

from __future__ import annotations

from typing import Final

from zmart_pipelines.program.accounts import MarketState

BASIS_POINTS: Final = 10_000

# Resolving and Finalized may follow Disputed in two ways each; see finalize_market and
# aggregate_dispute_votes.
_NEXT: Final = {
    MarketState.PROPOSED: frozenset({MarketState.APPROVED, MarketState.CANCELLED}),
    MarketState.APPROVED: frozenset({MarketState.ACTIVE, MarketState.CANCELLED}),
    MarketState.ACTIVE: frozenset({MarketState.RESOLVING}),
    MarketState.RESOLVING: frozenset({MarketState.DISPUTED, MarketState.FINALIZED}),
    MarketState.DISPUTED: frozenset({MarketState.RESOLVING, MarketState.FINALIZED}),
    MarketState.FINALIZED: frozenset[MarketState](),
    MarketState.CANCELLED: frozenset[MarketState](),
}


def may_transition(current: MarketState, following: MarketState) -> bool:
    """Whether one transaction can take a market from one state to the other."""
    return following in _NEXT[current]


def share_bps(yes: int, total: int) -> int:
    """The share of ``yes`` in ``total`` votes, in basis points; 0 without votes."""
    return yes * BASIS_POINTS // total if total else 0


def meets_threshold(yes: int, total: int, threshold_bps: int) -> bool:
    """Whether there are votes and the share, rounded down, reaches the threshold."""
    return total > 0 and share_bps(yes, total) >= threshold_bps


def dispute_window_end(resolution_proposed_at: int, dispute_period: int) -> int:
    """The first second in which the market can be finalized and no longer disputed."""
    return resolution_proposed_at + dispute_period
