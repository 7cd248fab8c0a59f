"""Examples of the documentation, compared with what is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "docs"
_EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```json\n(.*?)\n```", re.DOTALL)


def examples_of(page: str) -> dict[str, Any]:
    """The JSON examples of a page of ``docs/``, by name."""
    text = (_FOLDER / page).read_text()
    return {name: json.loads(example) for name, example in _EXAMPLE.findall(text)}


def shape(value: Any) -> Any:
    """The fields and types of a JSON value."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def members(value: Any) -> Any:
    """The fields of a JSON value; lists count by their first item, other values alike."""
    if isinstance(value, dict):
        return {name: members(item) for name, item in value.items()}
    return [members(value[0])] if isinstance(value, list) and value else None
