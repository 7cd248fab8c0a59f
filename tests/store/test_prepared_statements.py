"""Statements of SQLAlchemy as text for Postgres."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Text, bindparam, select

from zmart_pipelines.store.prepared_statements import PreparedStatement
from zmart_pipelines.store.tables import market

MARKETS = market.markets.c


def test_parameters_are_numbered_and_values_are_part_of_the_text() -> None:
    statement = PreparedStatement(
        select(MARKETS.market_id)
        .where(MARKETS.state.in_([0, 4]), MARKETS.created_at > bindparam("after", type_=BigInteger))
        .where(bindparam("word", type_=Text) != "it's")
        .limit(20)
    )
    assert "state IN (0, 4)" in statement.text
    assert "$1::BIGINT" in statement.text
    assert "'it''s'" in statement.text
    assert "LIMIT 20" in statement.text
    assert statement.arguments({"word": "w", "after": 7, "unused": 1}) == [7, "w"]


def test_parameter_that_is_used_twice_is_one() -> None:
    number = bindparam("number", type_=BigInteger)
    statement = PreparedStatement(
        select(MARKETS.market_id).where(MARKETS.created_at > number, MARKETS.created_at < number)
    )
    assert statement.arguments({"number": 3}) == [3] * len(statement.parameters)


def test_missing_argument_is_named() -> None:
    statement = PreparedStatement(
        select(MARKETS.market_id).where(MARKETS.created_at > bindparam("after", type_=BigInteger))
    )
    with pytest.raises(KeyError, match="after"):
        statement.arguments({})
