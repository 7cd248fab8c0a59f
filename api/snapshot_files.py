"""Files of snapshots by CID: from the database, the local store, then the IPFS gateways.

Gateways hold what anyone has pinned. Only the snapshot of a market that is known here is passed
on, so that this server is no proxy for other content.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from api.database import Database, DatabaseBusy
from api.errors import ApiError, not_found, unavailable
from api.pins import Pins
from zmart_pipelines.ipfs.gateways import Gateways, Verdict
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.settings import Settings
from zmart_pipelines.snapshots.documents import market_of
from zmart_pipelines.store.queries import discussion_snapshots, markets

log = logging.getLogger("api.snapshots")

ALERT_TOPIC: Final = "ipfs_gateway"
# CIDs of one process that gateways are asked for at a time; further requests are refused.
_AT_ONCE: Final = 8


class SnapshotFiles:
    """Reads files of snapshots for one process."""

    def __init__(self, database: Database, pins: Pins, settings: Settings) -> None:
        self._database = database
        self._pins = pins
        self._gateways = Gateways(
            settings.snapshot_gateways,
            stagger=settings.ipfs_gateway_stagger_seconds,
            seconds=settings.ipfs_gateway_seconds,
            ejection_seconds=settings.ipfs_gateway_ejection_seconds,
        )
        self._has_gateways = bool(settings.snapshot_gateways)
        self._reading = 0
        # Gateways whose last answer to this process was right: their alert is cleared.
        self._right: set[str] = set()

    async def read(self, cid: str) -> bytes:
        """Return the file of a CIDv0.

        Raises:
            ApiError: 404 where nothing has it, 503 where that cannot be found out now.
        """
        stored = await self._database.read(lambda conn: discussion_snapshots.document(conn, cid))
        if stored is not None:
            return stored
        try:
            return await self._pins.read(cid)
        except ApiError:
            if not self._has_gateways:
                raise
        return await self._read_elsewhere(cid)

    async def _read_elsewhere(self, cid: str) -> bytes:
        if self._reading >= _AT_ONCE:
            raise unavailable("Reading from IPFS gateways")
        self._reading += 1
        try:
            race = await self._gateways.fetch(cid)
        finally:
            self._reading -= 1
        await self._report(race.verdicts)
        if race.data is None:
            raise not_found("File") if race.is_unknown else unavailable("The file")
        market_id = market_of(race.data)
        if market_id is None or not await self._is_market(market_id):
            raise not_found("File")
        return race.data

    async def _is_market(self, market_id: bytes) -> bool:
        found = await self._database.read(lambda conn: markets.id_of(conn, market_id))
        return found is not None

    async def _report(self, verdicts: Sequence[Verdict]) -> None:
        """Raise the alerts of gateways that sent wrong bytes, clear those of right ones."""
        wrong = [one for one in verdicts if one.outcome == "wrong"]
        mended = [one for one in verdicts if one.outcome == "right"]
        for one in verdicts:
            if one.outcome == "failed":
                log.warning("gateway %s: %s", one.gateway, one.reason)
        self._right -= {one.gateway for one in wrong}
        mended = [one for one in mended if one.gateway not in self._right]
        if not (wrong or mended):
            return

        def record(conn: Connection) -> None:
            for one in wrong:
                raise_alert(
                    conn, _key(one), "high", f"the IPFS gateway {one.gateway} sent {one.reason}"
                )
            for one in mended:
                clear_alert(conn, _key(one))

        try:
            await self._database.write(None, record)
        except DatabaseBusy:
            # The next wrong or right answer records it.
            log.error(
                "wrong bytes of gateways could not be recorded: %s", [one.gateway for one in wrong]
            )
            return
        self._right |= {one.gateway for one in mended}


def _key(verdict: Verdict) -> AlertKey:
    return AlertKey(ALERT_TOPIC, subject=verdict.gateway)
