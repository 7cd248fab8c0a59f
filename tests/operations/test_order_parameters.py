"""What an order of each kind must say."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.routes.orders import Kind
from zmart_pipelines.operations import order_execution
from zmart_pipelines.operations.order_parameters import PARAMETERS, ParametersRefused, parse
from zmart_pipelines.store.tables.orders import KINDS

MARKET = "07" * 32
ACCEPTED: dict[str, dict[str, Any]] = {
    "resolve_market": {"market": MARKET, "outcome": True, "evidence": "Three closed above 200."},
    "backfill": {"first_slot": 10, "last_slot": 10},
    "breaker_reset": {"name": "action:finalize_market"},
    "switch": {"action": "all", "enabled": False},
    "redeliver": {"delivery": 12},
    "redecode": {},
    "retry_submission": {"intent": 3},
    "close_submission": {"intent": 3},
    "reopen_vote": {"market": MARKET, "kind": "dispute"},
}


def test_api_database_and_pipelines_know_the_same_kinds() -> None:
    assert get_args(Kind) == KINDS == tuple(PARAMETERS) == tuple(ACCEPTED)
    acts = set(order_execution._act.registry) - {object}
    assert acts == set(PARAMETERS.values())


@pytest.mark.parametrize("kind", ACCEPTED)
def test_parameters_of_the_kind_are_accepted(kind: str) -> None:
    assert type(parse(kind, ACCEPTED[kind])) is PARAMETERS[kind]


@pytest.mark.parametrize("kind", ACCEPTED)
def test_missing_and_unknown_parameters_are_refused(kind: str) -> None:
    given_ = ACCEPTED[kind]
    with pytest.raises(ParametersRefused, match="unknown field `more`"):
        parse(kind, {**given_, "more": 1})
    for name in given_:
        with pytest.raises(ParametersRefused, match=f"missing required field `{name}`"):
            parse(kind, {key: value for key, value in given_.items() if key != name})


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("resolve_market", {"market": MARKET.upper().replace("0", "A")}, "market"),
        ("resolve_market", {"outcome": "YES"}, "outcome"),
        ("resolve_market", {"evidence": ""}, "evidence"),
        ("backfill", {"last_slot": 9}, "last_slot"),
        ("backfill", {"first_slot": -1}, "first_slot"),
        ("backfill", {"last_slot": 2**62 + 1}, "last_slot"),
        ("redeliver", {"delivery": 0}, "delivery"),
        ("retry_submission", {"intent": 2**63}, "intent"),
        ("switch", {"enabled": 1}, "enabled"),
        ("reopen_vote", {"kind": "state"}, "kind"),
    ],
)
def test_values_out_of_range_are_refused_by_name(
    kind: str, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ParametersRefused) as refused:
        parse(kind, ACCEPTED[kind] | change)
    assert refused.value.field == field


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(kind=st.sampled_from(KINDS), given_=st.dictionaries(st.text(), _json, max_size=4))
def test_any_json_is_accepted_or_refused(kind: str, given_: dict[str, Any]) -> None:
    with contextlib.suppress(ParametersRefused):
        assert type(parse(kind, given_)) is PARAMETERS[kind]
