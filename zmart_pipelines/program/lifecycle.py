"""A market's states: allowed transitions, windows and thresholds, as in the program.

Times are the cluster's Unix seconds; vote shares are basis points, always rounded down.
"""

from __future__ import annotations

from typing import Final

from zmart_pipelines.program.accounts import MarketState

BASIS_POINTS: Final = 10_000
# Ten years of 365 days after its creation a market can no longer be resolved or finalized.
LIFETIME_SECONDS: Final = 315_360_000

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
    """Return whether one transaction can move a market from one state to the other."""
    return following in _NEXT[current]


def share_bps(yes: int, total: int) -> int:
    """Return the share of ``yes`` in ``total`` votes, in basis points; 0 without votes."""
    return yes * BASIS_POINTS // total if total else 0


def meets_threshold(yes: int, total: int, threshold_bps: int) -> bool:
    """Return whether there are votes and their share, rounded down, reaches the threshold."""
    return total > 0 and share_bps(yes, total) >= threshold_bps


def dispute_window_end(resolution_proposed_at: int, dispute_period: int) -> int:
    """Return the first second in which the market can be finalized and no longer disputed."""
    return resolution_proposed_at + dispute_period
