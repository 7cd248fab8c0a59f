"""Types of arguments, with the limits that requests are held to."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

# A million SOL, the largest amount that the program accepts.
MAX_LAMPORTS: Final = 10**15
MAX_SHARES: Final = 2**63 - 1

Lamports: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_LAMPORTS)]
Shares: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_SHARES)]
"""Shares, with 9 decimals."""
Cid: TypeAlias = Annotated[str, Meta(min_length=46, max_length=46)]
"""A CIDv0; the program stores any 46 bytes, callers check the form."""
