"""The time that a run acts as of: an argument, so that a day can be compressed into minutes."""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field


class AsOf(dg.Config):
    """As of when what is kept is judged."""

    as_of: str = Field("", description="ISO 8601 time with a UTC offset; empty: now.")

    @property
    def moment(self) -> datetime:
        """The time in UTC.

        Raises:
            ValueError: ``as_of`` is not a time with a UTC offset.
        """
        if not self.as_of:
            return datetime.now(UTC)
        given = datetime.fromisoformat(self.as_of)
        if given.tzinfo is None:
            raise ValueError(f"as_of {self.as_of!r} has no UTC offset, for example +00:00 or Z")
        return given.astimezone(UTC)
