"""How urgent an alert is. Pure."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Severity: TypeAlias = Literal["critical", "high", "medium"]

# The least urgent first.
SEVERITIES: Final[tuple[Severity, ...]] = ("medium", "high", "critical")


def rank(severity: str) -> int:
    """Return the place of a severity; the most urgent has the largest.

    Raises:
        ValueError: It is none.
    """
    names: tuple[str, ...] = SEVERITIES
    return names.index(severity)


def most_urgent(*severities: str | None) -> Severity:
    """Return the most urgent of the severities that are given, at least one."""
    return SEVERITIES[max(rank(severity) for severity in severities if severity is not None)]
