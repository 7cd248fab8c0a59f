"""A client's state: what frames change in it, and that a difference to REST is seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.realtime.channel_state import apply, differences, state_of

MARKET = "market:" + "ab" * 32
NO_VOTES = {"likes": 0, "dislikes": 0, "total": 0, "round": 0}
TRADE = {"id": "sig:1", "tx_signature": "sig", "shares": 5, "commitment": "confirmed"}
COMMENT = {"id": "7", "content": "It will rain.", "up_votes": 0}


def answer(**over: Any) -> dict[str, Any]:
    """What REST says of a market."""
    return {
        "market": {"id": "ab", "state": "ACTIVE", "trades_count": 0, "question": "Rain?"},
        "trades": {"trades": []},
        "votes": {"proposal_votes": NO_VOTES, "dispute_votes": NO_VOTES},
        "discussion": {"discussions": []},
    } | over


FRAMES: list[tuple[str, dict[str, Any]]] = [
    ("trade", TRADE | {"trader": "an older name"}),
    ("market_state", {"market": {"id": "ab", "state": "ACTIVE", "trades_count": 1}}),
    (
        "vote",
        {"vote_type": "proposal", "votes_for": 2, "votes_against": 1, "total": 3, "round": 0},
    ),
    ("discussion", {"id": "7", "discussion": COMMENT}),
]
LATER = answer(
    market={"id": "ab", "state": "ACTIVE", "trades_count": 1, "question": "Rain?"},
    trades={"trades": [TRADE | {"commitment": "finalized"}]},
    votes={
        "proposal_votes": {"likes": 2, "dislikes": 1, "total": 3, "round": 0},
        "dispute_votes": NO_VOTES,
    },
    discussion={"discussions": [COMMENT]},
)


def unequal(frames: list[tuple[str, dict[str, Any]]], rest: dict[str, Any]) -> list[str]:
    """Where a client with these frames differs from REST."""
    state = state_of(MARKET, answer())
    for type_, payload in frames:
        apply(state, type_, payload)
    return list(differences(state, state_of(MARKET, rest)))


def test_snapshot_and_frames_lead_to_what_rest_says() -> None:
    assert unequal([], answer()) == []
    assert unequal(FRAMES, LATER) == []


@pytest.mark.parametrize("number", range(len(FRAMES)))
def test_a_frame_that_is_left_out_is_seen(number: int) -> None:
    assert unequal([one for one in FRAMES if one is not FRAMES[number]], LATER) != []


def test_a_row_that_rest_does_not_have_is_seen() -> None:
    extra = ("discussion", {"id": "8", "discussion": COMMENT | {"id": "8"}})
    assert unequal([*FRAMES, extra], LATER) == ["discussion: 2 and 1 rows"]


def test_trades_of_orphaned_transactions_are_void() -> None:
    orphaned = (
        "market_state",
        {
            "market": {"id": "ab", "state": "ACTIVE", "trades_count": 0},
            "correction": {"orphaned": ["sig"]},
        },
    )
    rest = LATER | {"market": answer()["market"], "trades": {"trades": []}}
    assert unequal([*FRAMES, orphaned], rest) == []
    assert unequal(FRAMES, rest) != []


def test_parts_and_the_list_of_markets() -> None:
    votes = state_of(f"{MARKET}:votes", LATER["votes"])
    assert list(votes) == ["votes"]
    markets = state_of("markets", {"markets": [answer()["market"]]})
    apply(markets, "market_state", {"market": {"id": "cd", "state": "PROPOSED"}})
    rest = {"markets": [answer()["market"], {"id": "cd", "state": "PROPOSED", "question": "?"}]}
    assert list(differences(markets, state_of("markets", rest))) == []
    rest["markets"][1]["state"] = "ACTIVE"
    assert len(list(differences(markets, state_of("markets", rest)))) == 1
