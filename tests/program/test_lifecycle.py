import pytest

from zmart_pipelines.program.accounts import MarketState as S
from zmart_pipelines.program.lifecycle import (
    dispute_window_end,
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


def test_dispute_window_ends_where_finalization_is_possible() -> None:
    assert dispute_window_end(1_762_768_370, 259_200) == 1_763_027_570
