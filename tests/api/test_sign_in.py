"""Sign-In With Solana through the API: one text, one session."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

from tests.api.seed import wallet
from tests.api.signing_in import bearer, sign_in

Client = TestClient[Litestar]


def test_signed_text_starts_a_session(client: Client) -> None:
    tokens = sign_in(client, wallet(1))
    me = client.get("/api/users/me", headers=bearer(tokens))
    assert me.status_code == 200, me.text
    assert me.json()["wallet"] == str(wallet(1).pubkey())
