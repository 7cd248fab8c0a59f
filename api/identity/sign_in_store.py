"""What signing in stores: nonces, and the sessions that start. Each is one statement.

The functions of the database name the wallet for row-level security, in the same round trip.
"""

from __future__ import annotations

from api.write_pool import WritePool
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import accounts
from zmart_pipelines.store.queries.accounts import Continued, NewSession, Nonce


class SignInStore:
    """Nonces and new sessions, written on the event loop; release it with ``close``.

    Every method raises DatabaseBusy where Postgres is away or does not answer in time.
    """

    def __init__(self, settings: Settings) -> None:
        self._pool = WritePool(settings)

    async def add_nonce(self, nonce: str, issued: Nonce) -> None:
        """Store a nonce that is given out."""
        arguments = (issued.wallet, nonce, issued.origin, issued.issued_at, issued.expires_at)
        await self._pool.execute(accounts.ADD_NONCE, arguments)

    async def take_nonce(self, wallet: bytes, nonce: str) -> Nonce | None:
        """Delete a nonce of the wallet and return it; None where it has none of this value."""
        rows = await self._pool.execute(accounts.TAKE_NONCE, (wallet, nonce))
        return Nonce(*rows[0]) if rows else None

    async def start_session(self, new: NewSession) -> Continued:
        """Store a session with its first refresh token; its id is made by the database."""
        arguments = (
            *(new.wallet, new.csrf, new.user_agent, new.address),
            *(new.token_hash, new.session_lifetime, new.token_lifetime),
        )
        (row,) = await self._pool.execute(accounts.START_SESSION, arguments)
        return Continued(
            id=row[0],
            wallet=new.wallet,
            csrf=new.csrf,
            expires_at=row[1],
            refresh_expires_at=row[2],
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()
