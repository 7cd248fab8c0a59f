"""The state that a client holds: a snapshot, changed by the frames after it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

# The parts of a market's channel, and the type of their frames.
PARTS: Final = {
    "state": "market_state",
    "trades": "trade",
    "votes": "vote",
    "discussion": "discussion",
}
# As many rows as a snapshot and a page of REST have.
ROWS: Final = 50
# What a frame of the row does not say when it changes: the chain's finality, when the row was
# written, and the running counts of an open vote, which the frames of its votes have.
_UNTOLD: Final = frozenset(
    {
        *("commitment", "updated_at"),
        *("proposal_likes", "proposal_dislikes", "dispute_agree", "dispute_disagree"),
    }
)

# What the frames of a wallet's positions determine; the rest changes with others' trades as well.
_HELD: Final = ("shares_yes", "shares_no", "total_invested", "trades_count", "has_claimed")
WALLET: Final = "wallet:"
PRICES: Final = ":prices"
ALERTS: Final = "alerts"
SYSTEM: Final = "system"
# What determines the prices, by its name in the row of a market.
_PRICES: Final = {
    "q_yes": "shares_yes",
    "q_no": "shares_no",
    "b": "b_parameter",
    "price_yes": "price_yes",
    "price_no": "price_no",
}

State = dict[str, Any]


def prices_of(market: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a state of the prices must say of a market."""
    return {name: market[source] for name, source in _PRICES.items()}


def _held(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _HELD}


def part_of(channel: str) -> str | None:
    """Return the part that a channel is of, None for a whole channel."""
    part = channel.rpartition(":")[2]
    return part if part in PARTS else None


def state_of(channel: str, answer: Any) -> State:
    """Return the state in a snapshot of a channel, or in what REST says of the same."""
    part = part_of(channel)
    if part is not None:
        return {part: _rows(part, answer)}
    if channel.startswith(WALLET):
        return {"positions": {row["market_id"]: _held(row) for row in answer["positions"]}}
    if channel == ALERTS:
        return {"alerts": {row["id"]: row for row in answer["alerts"]}}
    if channel == "markets":
        return {"markets": {row["id"]: _shown(row) for row in answer["markets"]}}
    return {
        "state": _rows("state", answer["market"]),
        **{part: _rows(part, answer[part]) for part in ("trades", "votes", "discussion")},
    }


def _rows(part: str, answer: Any) -> Any:
    match part:
        case "trades":
            return {row["id"]: _shown(row) for row in answer["trades"]}
        case "discussion":
            return {row["id"]: row for row in answer["discussions"]}
        case "votes":
            kinds = ("proposal_votes", "dispute_votes")
            return {kind: _tally(answer[kind]) for kind in kinds}
        case _:
            return None if answer is None else _shown(answer)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _UNTOLD}


def _tally(count: Mapping[str, Any]) -> dict[str, Any]:
    return {name: count[name] for name in ("likes", "dislikes", "total", "round")}


def apply(state: State, type_: str, payload: Mapping[str, Any]) -> None:
    """Change a state by a frame."""
    if "positions" in state:
        _change_positions(state["positions"], type_, payload)
        return
    match type_:
        case "trade":
            state["trades"][payload["id"]] = _shown(payload)
        case "discussion":
            state["discussion"][payload["id"]] = payload["discussion"]
        case "vote":
            state["votes"][f"{payload['vote_type']}_votes"] = {
                "likes": payload["votes_for"],
                "dislikes": payload["votes_against"],
                "total": payload["total"],
                "round": payload["round"],
            }
        case "market_state":
            _change_market(state, payload)
        case "alert":
            _change_alerts(state["alerts"], payload)


def _change_positions(positions: State, type_: str, payload: Mapping[str, Any]) -> None:
    if type_ != "position":
        return
    if payload["position"] is None:
        positions.pop(payload["market_id"], None)
    else:
        positions[payload["market_id"]] = _held(payload["position"])


def _change_alerts(alerts: State, payload: Mapping[str, Any]) -> None:
    """Keep the alerts that are open."""
    row = {name: value for name, value in payload.items() if name != "action"}
    if row["cleared_at"] is None:
        alerts[row["id"]] = row
    else:
        alerts.pop(row["id"], None)


def _change_market(state: State, payload: Mapping[str, Any]) -> None:
    shown = _shown(payload["market"])
    if "markets" in state:
        state["markets"][shown["id"]] = state["markets"].get(shown["id"], {}) | shown
    if "state" in state:
        state["state"] = (state["state"] or {}) | shown
    orphaned = set(payload.get("correction", {}).get("orphaned", ()))
    if orphaned and "trades" in state:
        trades = state["trades"].items()
        state["trades"] = {key: row for key, row in trades if row["tx_signature"] not in orphaned}


def differences(ours: State, rest: State) -> Iterable[str]:
    """Yield where a client's state is not what REST says.

    A client holds more rows than a page of REST, and more members of a row than REST where a frame
    has older names beside them; what it knows of a market that appeared since its snapshot lacks
    the question.
    """
    for part, theirs in rest.items():
        mine = ours[part]
        if part == "votes" or mine is None or theirs is None:
            if mine != theirs:
                yield f"{part}: {mine} and {theirs}"
        elif part == "state":
            yield from _row_differences(part, mine, theirs)
        else:
            if len(theirs) < ROWS and len(mine) != len(theirs):
                yield f"{part}: {len(mine)} and {len(theirs)} rows"
            for key, row in theirs.items():
                yield from _row_differences(f"{part} {key}", mine.get(key, {}), row)


def _row_differences(title: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    if not mine:
        return [f"{title}: missing"]
    return [
        f"{title}.{name}: {mine[name]!r} and {value!r}"
        for name, value in theirs.items()
        if name in mine and mine[name] != value
    ]
