"""The program's words for the two choices of each kind of vote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

VOTE_CHOICES: Final[Mapping[Literal["proposal", "dispute"], tuple[str, str]]] = {
    "proposal": ("like", "dislike"),
    "dispute": ("agree", "disagree"),
}
"""By kind: the word for true and the word for false."""
