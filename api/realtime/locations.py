"""Which market a client means that names it by its address."""

from __future__ import annotations

from api.database import Database
from api.hot_reads.shared_flights import SharedFlights
from api.realtime.channels import Channel, of_market
from api.realtime.missed_frames import MissedFrames
from zmart_pipelines.store.queries import markets


class Locations:
    """Finds markets, once for all that ask for the same one together."""

    def __init__(self, database: Database, missed: MissedFrames, seconds: float) -> None:
        """Let a client wait so many seconds for a reading."""
        self._database = database
        self._missed = missed
        self._readings = SharedFlights[bytes | None](seconds)

    async def located(self, channel: Channel) -> Channel:
        """Return ``channel`` with its market's id where it was named by the market's address.

        A market that is not on chain yet can be subscribed to by its id.
        """
        key = channel.market_id
        # Frames are stored under the id.
        if key is None or self._missed.has_frames(channel):
            return channel
        market_id = await self._readings.get(
            key, lambda _deadline: self._database.read(lambda conn: markets.id_of(conn, key))
        )
        return channel if market_id is None else of_market(market_id, channel.part)
