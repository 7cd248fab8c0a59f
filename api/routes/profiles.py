"""What users say of themselves."""

from __future__ import annotations

from litestar import patch
from litestar.params import JSONBody
from msgspec import UNSET
from sqlalchemy import Connection

from api.dependencies import WritesDep, error_responses
from api.identity.auth import AuthorizedWrite
from api.openapi.security import PERMITTED
from api.requests import user_text
from api.requests.bodies import ProfileChange
from zmart_pipelines.client_schemas import community
from zmart_pipelines.store.queries import users


@patch(
    "/api/users/me",
    tags=["wallets"],
    responses=error_responses(400, 401, 409, 413, 415, 429),
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def change_profile(writes: WritesDep, data: JSONBody[ProfileChange]) -> community.Profile:
    """Change one's own profile: members that are absent stay, null takes one away."""
    values = _changes(data)

    def change(conn: Connection, permit: AuthorizedWrite) -> community.Profile:
        users.upsert_user(conn, permit.wallet)
        users.change_profile(conn, permit.wallet, values)
        return community.profile(permit.wallet, users.find_profile(conn, permit.wallet))

    return await writes.perform(data, "profile", "profile", community.Profile, change)


def _changes(body: ProfileChange) -> dict[str, str | None]:
    """Return the members that the body states, as they are stored."""
    stated = {"name": body.name, "bio": body.bio, "avatar_cid": body.avatar_cid}
    clean = {"name": user_text.user_name, "bio": user_text.bio}
    return {
        name: clean[name](value) if value is not None and name in clean else value
        for name, value in stated.items()
        if value is not UNSET
    }


HANDLERS = [change_profile]
