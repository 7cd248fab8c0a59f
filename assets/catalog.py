"""What Dagster shows of the code location: groups, owners, tags, links to the dashboard, README."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import dagster as dg
import msgspec

from zmart_pipelines.settings import Settings

# Owners of jobs, schedules and sensors are shown already, and may only change their signature.
warnings.filterwarnings("ignore", "Parameter `owners`", dg.BetaWarning)

OWNERS: Final = ["team:pipelines"]
ORIGIN_TAG: Final = "zmart/origin"
DASHBOARD: Final = "Dashboard"
README: Final = Path(__file__).parent / "README.md"


class Origin(StrEnum):
    """Where rows come from, and so what their loss would cost."""

    CHAIN = "chain"
    """They can be read from the chain, or folded from what was read, again."""
    USERS = "users"
    """They were born here, and only a backup brings them back."""


class Group(msgspec.Struct, frozen=True):
    """A group of assets.

    Attributes:
        description: What its assets hold, in one sentence.
        origin: Where their rows come from.
        page: The page of the dashboard that shows them.
    """

    description: str
    origin: Origin
    page: str = "/app"


GROUPS: Final[Mapping[str, Group]] = MappingProxyType(
    {
        "chain": Group(
            "The ledger: every transaction of the program, each slot proved complete.",
            Origin.CHAIN,
        ),
        "market": Group(
            "Markets, positions, trades and statistics, folded from the ledger.",
            Origin.CHAIN,
            "/app/markets",
        ),
        "voting": Group(
            "Ballots that wallets signed, counted and frozen into tallies.", Origin.USERS
        ),
        "submissions": Group(
            "What is owed to the chain: decided, signed, sent and followed until it is final.",
            Origin.USERS,
        ),
        "community": Group(
            "Discussions of markets, pinned to IPFS day by day.", Origin.USERS, "/app/markets"
        ),
        "reconciliation": Group(
            "The comparison of the tables with every account of the chain.", Origin.CHAIN
        ),
        "backup": Group("Backups of the database, each restored and compared.", Origin.USERS),
    }
)


def group_tags(group: str) -> dict[str, str]:
    """Return the tags of a group's assets."""
    return {ORIGIN_TAG: GROUPS[group].origin.value}


def dashboard_link(path: str, settings: Settings | None = None) -> dg.MetadataValue[str | None]:
    """Return a link to a page of the dashboard; by default of this process's settings."""
    return dg.MetadataValue.url(f"{(settings or _settings()).public_origin}{path}")


def location_metadata() -> dict[str, dg.MetadataValue[str | None]]:
    """Return what the code location says of itself in Dagster."""
    return {DASHBOARD: dashboard_link("/app"), "README": dg.MetadataValue.md(README.read_text())}


def _settings() -> Settings:
    return Settings()
