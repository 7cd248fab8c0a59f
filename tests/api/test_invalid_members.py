"""Members of a JSON body that are invalid, by their place."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from api.errors import invalid
from api.requests.bodies import NewComment, NewMarket, NewVote
from api.requests.validation import FieldRules, invalid_members, require_field_rules


class _Inner(msgspec.Struct, forbid_unknown_fields=True):
    depth: Annotated[int, Meta(ge=1)]


def _even(value: int) -> None:
    if value % 2:
        raise invalid("count", "must be even")


class _Outer(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    FIELD_RULES: ClassVar[FieldRules] = {"count": _even}

    market_id: str
    count: int
    inner: _Inner | None = None
    words: list[Annotated[str, Meta(max_length=2)]] = []

    def __post_init__(self) -> None:
        require_field_rules(self, self.FIELD_RULES)


def test_members_are_named_by_their_place() -> None:
    value = {"count": 3, "inner": {"depth": 0, "more": 1}, "words": ["ab", "abc"], "x": None}
    found = {item.field: item.message for item in invalid_members(value, _Outer)}
    assert found.keys() == {"marketId", "count", "inner.depth", "inner.more", "words[1]", "x"}
    assert found["marketId"] == "is required"
    assert found["count"] == "must be even"
    assert found["words[1]"] == "Expected `str` of length <= 2"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("struct", [_Outer, NewMarket, NewVote, NewComment])
@given(data=st.data())
def test_a_body_is_invalid_exactly_where_a_member_is_named(
    struct: type[msgspec.Struct], data: st.DataObject
) -> None:
    names = [member.encode_name for member in msgspec.structs.fields(struct)]
    value = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), _JSON) | _JSON)
    try:
        msgspec.convert(value, struct, strict=False, str_keys=True)
        valid = True
    except msgspec.ValidationError:
        valid = False
    assert bool(list(invalid_members(value, struct))) != valid


@pytest.mark.parametrize("choice", [0, 1])
def test_rules_see_a_member_as_its_struct_has_it(choice: int) -> None:
    vote = {"market_id": "01" * 32, "choice": choice}
    assert list(invalid_members(vote, NewVote)) == []
