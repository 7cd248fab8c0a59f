"""Rules of a route that the types of its parameters and body cannot state.

A handler states them in its ``opt``, and they are checked before it runs, so that what they refuse
is named together with everything else that is invalid (``api.requests.validation``)::

    @get("/api/alerts", opt=query_rules.stated(pages.rule(alerts.NEWEST)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from api.errors import ApiError, FieldError

# The name in a handler's ``opt``.
STATED: Final = "query_rules"


class Given(msgspec.Struct, frozen=True):
    """What a request says.

    Attributes:
        path: Texts of the path's parameters.
        names: Of all parameters of the query, valid or not.
        query: Values of the valid ones by their names.
        body: The JSON value, valid or not; None where there is none.
    """

    path: Mapping[str, str]
    names: frozenset[str]
    query: Mapping[str, Any]
    body: Any = None


# Raises ApiError with the fields that are invalid.
Rule: TypeAlias = Callable[[Given], object]


def stated(*rules: Rule) -> dict[str, Any]:
    """Return the ``opt`` of a handler with these rules."""
    return {STATED: rules}


def parsed(parse: Callable[[str, str], object], name: str, *, may_be_empty: bool = False) -> Rule:
    """Return the rule that a parameter of the query can be parsed where it is given.

    Args:
        parse: Is given its text and its name; raises ApiError.
        name: Of the parameter.
        may_be_empty: An empty text stands for none.
    """

    def rule(given: Given) -> None:
        text = given.query.get(name)
        if text is not None and (text or not may_be_empty):
            parse(text, name)

    return rule


def broken(rules: Sequence[Rule], given: Given) -> Iterator[FieldError]:
    """Yield what the rules refuse."""
    for rule in rules:
        try:
            rule(given)
        except ApiError as error:
            yield from error.fields
