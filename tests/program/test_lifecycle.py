import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.program.accounts import MarketState as S
from zmart_pipelines.program.lifecycle import (
    dispute_window_end,
    is_terminal,
    may_dispute,
    may_finalize_undisputed,
    may_transition,
    meets_threshold,
    share_bps,
)

ALLOWED = {
    (S.PROPOSED, S.APPROVED),
    (S.PROPOSED, S.CANCELLED),
    (S.APPROVED, S.ACTIVE),
    (S.APPROVED, S.CANCELLED),
    (S.ACTIVE, S.RESOLVING),
    (S.RESOLVING, S.DISPUTED),
    (S.RESOLVING, S.FINALIZED),
    (S.DISPUTED, S.RESOLVING),
    (S.DISPUTED, S.FINALIZED),
}


def test_transitions() -> None:
    assert {(a, b) for a in S for b in S if may_transition(a, b)} == ALLOWED
    assert {state for state in S if is_terminal(state)} == {S.FINALIZED, S.CANCELLED}


@pytest.mark.parametrize(
    ("yes", "total", "bps", "threshold", "meets"),
    [
        (7, 10, 7000, 7000, True),
        (6999, 10000, 6999, 7000, False),
        (2, 3, 6666, 6000, True),
        (2, 3, 6666, 6667, False),
        (0, 0, 0, 0, False),
        (0, 5, 0, 0, True),
        (1, 1, 10000, 10000, True),
    ],
)
def test_thresholds(yes: int, total: int, bps: int, threshold: int, meets: bool) -> None:
    assert share_bps(yes, total) == bps
    assert meets_threshold(yes, total, threshold) is meets


@given(st.integers(0, 2**40), st.integers(1, 2**30), st.integers(-(2**20), 2**20))
def test_windows_leave_no_second_to_both(proposed: int, period: int, shift: int) -> None:
    for now in (proposed, proposed + 1, proposed + period - 1, proposed + period, proposed + shift):
        disputable = may_dispute(now, proposed, period)
        finalizable = may_finalize_undisputed(now, proposed, period)
        assert not (disputable and finalizable)
        assert (disputable or finalizable) is (now > proposed)
        assert finalizable is (now >= dispute_window_end(proposed, period))
