"""Whether two servers give the same answer, apart from what a clock or a page's place makes."""

from __future__ import annotations

from typing import Any, Final

# Figures of a clock; the opaque place of the next page.
LEFT_OUT: Final = frozenset({"as_of", "timestamp", "uptime", "next"})


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return the places at which the answers differ, as paths with both values."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted((ours.keys() | theirs.keys()) - LEFT_OUT)
        absent = "absent"
        found = []
        for name in names:
            found += differences(ours.get(name, absent), theirs.get(name, absent), f"{path}.{name}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        found = []
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            found += differences(one, other, f"{path}[{number}]")
        return found
    equal = type(ours) is type(theirs) and ours == theirs
    if not equal and {type(ours), type(theirs)} == {int, float}:
        equal = ours == theirs  # JSON knows one kind of number
    return [] if equal else [f"{path}: {ours!r} and {theirs!r}"]
