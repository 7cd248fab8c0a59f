"""The state of a market as a query parameter: its name or its number."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

from api.errors import invalid
from api.requests import query_rules
from zmart_pipelines.program.accounts import MarketState

StateQuery: TypeAlias = Annotated[
    str | None, QueryParameter(name="state", description="Name or number of a state.")
]


def parse_state(text: str | None) -> int | None:
    """Return the number of a state given by name or number; None where no state is given.

    Raises:
        ApiError: 400 naming ``state``.
    """
    if text is None or text == "":
        return None
    if text.upper() in MarketState.__members__:
        return int(MarketState[text.upper()])
    if text.isascii() and text.isdigit() and len(text) == 1 and int(text) < len(MarketState):
        return int(text)
    names = ", ".join(MarketState.__members__)
    raise invalid("state", f"must be one of {names} or a number from 0 to {len(MarketState) - 1}")


STATE_RULE = query_rules.parsed(lambda text, _: parse_state(text), "state")
