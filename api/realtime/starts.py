"""Where subscriptions begin, read once for all that ask for the same together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.database import Database
from api.hot_reads.shared_flights import SharedFlights
from api.realtime.channels import Channel
from api.realtime.missed_frames import MissedFrames
from api.realtime.start import MAX_REPLAY, Start, load_prices, load_start
from zmart_pipelines.client_schemas.frames import DisplayedPrices


class Starts:
    """Reads starts; one that continues from frames in memory takes its positions from there."""

    def __init__(self, database: Database, missed: MissedFrames, seconds: float) -> None:
        """Let a client wait so many seconds for a reading."""
        self._database = database
        self._missed = missed
        self._starts = SharedFlights[Start](seconds)
        self._prices = SharedFlights[Mapping[str, DisplayedPrices]](seconds)

    async def get(
        self, channels: Sequence[Channel], since: int | None, *, with_snapshots: bool
    ) -> Start:
        """Return where subscriptions begin that are registered with the hub.

        The arguments are those of ``load_start``.
        """
        asked = tuple(channels)
        heads = None if since is None else self._missed.heads(asked, since, MAX_REPLAY)
        if heads is None:
            return await self._starts.get(
                (asked, since, with_snapshots),
                lambda _deadline: self._database.read(
                    lambda conn: load_start(conn, asked, since, with_snapshots=with_snapshots)
                ),
            )
        prices = await self._prices.get(
            asked, lambda _deadline: self._database.read(lambda conn: load_prices(conn, asked))
        )
        return Start(heads, max(heads.values(), default=0), prices=prices)
