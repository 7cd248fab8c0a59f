"""Start options of a node."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID

SEEDED_GENESIS_TIME: Final = 1_767_225_600
"""Chain time of a seeded chain with a manual clock: 2026-01-01T00:00:00Z."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a node; ``python -m localnet --help`` describes each."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 8899
    seed: int | None = None
    manual_clock: bool = False
    slot_ms: int = 400
    confirm_depth: int = 1
    finality_depth: int = 8
    program_id: Pubkey = DEFAULT_PROGRAM_ID
    program: Path | None = None
    snapshot: Path | None = None
    dispute_period: int = 15
    webhook_url: str | None = None
    webhook_secret: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.confirm_depth <= self.finality_depth <= 149:
            raise ValueError(
                "depths must satisfy 1 <= --confirm-depth <= --finality-depth <= 149,"
                f" but are {self.confirm_depth} and {self.finality_depth}"
            )
        if self.slot_ms < 10:
            raise ValueError(f"--slot-ms must be at least 10 but is {self.slot_ms}")
