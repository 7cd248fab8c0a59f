"""What may be sent to the chain now, and the published files behind what was sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.params import PathParameter
from sqlalchemy import Connection

from api.dependencies import DatabaseDep, SettingsDep, failures
from api.errors import invalid, not_found, unavailable
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.ipfs.cid import is_cid_v0
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import switches


class SwitchState(msgspec.Struct, frozen=True):
    """A kill switch. ``sends``: whether transactions of this action are signed and sent now,
    all switches and the setting considered."""

    action: str
    enabled: bool
    sends: bool
    reason: str
    changed_at: str | None


class AllSwitches(msgspec.Struct, frozen=True):
    """Every switch, that over all of them first. ``status`` is ``ok``, or ``stopped`` where
    something is not sent; ``submissions_enabled`` is the setting."""

    status: str
    submissions_enabled: bool
    switches: list[SwitchState]


@get(
    "/api/submissions/switches",
    operation_id="listSwitches",
    tags=["submissions"],
    responses=failures(),
)
async def list_switches(database: DatabaseDep, settings: SettingsDep) -> AllSwitches:
    """Which submissions are switched off, and why."""
    return await database.read(lambda conn: _switches(conn, settings))


def _switches(conn: Connection, settings: Settings) -> AllSwitches:
    off = switches.disabled_actions(conn, settings)
    return AllSwitches(
        status="stopped" if off else "ok",
        submissions_enabled=settings.submissions_enabled,
        switches=[
            SwitchState(
                action=one.action,
                enabled=one.enabled,
                sends=not off if one.action == "all" else one.action not in off,
                reason=one.reason,
                changed_at=None if one.changed_at is None else formats.iso8601(one.changed_at),
            )
            for one in switches.read_switches(conn)
        ],
    )


@get(
    "/ipfs/{cid:str}",
    operation_id="getPinnedFile",
    tags=["submissions"],
    responses=failures(400, 404),
    media_type="application/json",
    sync_to_thread=True,
)
def pinned_file(
    settings: SettingsDep,
    cid: Annotated[str, PathParameter(description="A CIDv0: Qm and 44 more characters.")],
) -> Response[bytes]:
    """A file that was pinned here, by its CID: ballot bundles and their parts, evidence,
    questions. Good as a gateway for ``zmart verify-tally --gateway``."""
    if not is_cid_v0(cid):
        raise invalid("cid", "must be a CIDv0: Qm and 44 more base58 characters")
    try:
        # Only what lies here: asking others for any CID is not this server's business.
        data = LocalPinStore(settings.zmart_state / "ipfs").get(cid)
    except PinNotFound as error:
        raise not_found("File") from error
    except PinError as error:
        raise unavailable("The file") from error
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": f'"{cid}"'}
    return Response(data, media_type="application/json", headers=headers)


HANDLERS = [list_switches, pinned_file]
