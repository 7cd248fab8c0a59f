"""How urgent an alert is."""

from __future__ import annotations

from typing import Literal

Severity = Literal["critical", "high", "medium"]
