"""Words that clients read are the program's."""

from __future__ import annotations

from typing import get_args

import pytest

from zmart_pipelines.client_schemas.formats import StateName, state_name
from zmart_pipelines.program.accounts import MarketState


def test_names_of_states_are_the_programs() -> None:
    assert get_args(StateName) == tuple(MarketState.__members__)
    assert [state_name(code) for code in range(len(MarketState))] == list(get_args(StateName))
    with pytest.raises(ValueError, match="7"):
        state_name(7)
