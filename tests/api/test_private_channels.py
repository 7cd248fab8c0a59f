"""Private channels: who receives them, until when, and by which tickets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, select, text, update

from api.app import create_app
from api.realtime import protocol
from tests.api.private_sockets import (
    asked,
    authenticated,
    greeted,
    own_channel,
    receive,
    ticket,
)
from tests.api.seed import wallet
from tests.api.signing_in import bearer, session_of, sign_in
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.proofs import realtime_tickets, service_keys
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import api_keys
from zmart_pipelines.store.stream import Frame, wallet_channel
from zmart_pipelines.store.tables import accounts, ops

Client = TestClient[Litestar]
ALICE, BOB, OPERATOR = wallet(1), wallet(2), wallet(3)
LAG = AlertKey("lag", subject="confirmed")


@pytest.fixture
def api_settings(api_settings: Settings) -> Settings:
    """Settings with an operator's wallet."""
    operators = {"operators": str(OPERATOR.pubkey())}
    return Settings(**api_settings.model_dump() | operators)


def append_trades(ledger: Engine, *numbers: int, to: Any = ALICE) -> list[int]:
    """Append frames of a wallet's channel that carry these numbers."""
    channel = wallet_channel(bytes(to.pubkey()))
    with ledger.begin() as conn:
        return stream.append(conn, [Frame(channel, "trade", {"n": number}) for number in numbers])


def key_with(owner: Engine, *scopes: str, of: Keypair | None = None) -> dict[str, str]:
    """The header of a service's key with these scopes, and of the wallet that it belongs to."""
    key = service_keys.new_key()
    with owner.begin() as conn:
        api_keys.create_key(
            conn,
            name="monitor",
            prefix=key[: service_keys.SHOWN],
            key_hash=service_keys.key_hash(key),
            scopes=scopes,
            wallet=None if of is None else bytes(of.pubkey()),
        )
    return {"X-Api-Key": key}


def code(answer: dict[str, Any]) -> str:
    assert answer["type"] == "error", answer
    return str(answer["data"]["code"])


def test_wallet_receives_its_own_channel_and_resumes_it(client: Client, ledger: Engine) -> None:
    (first,) = append_trades(ledger, 1)
    with greeted(client) as socket:
        data = authenticated(socket, ticket(client, session_of(client, ALICE)))
        assert data == {"wallet": str(ALICE.pubkey()), "is_operator": False}
        answer = asked(socket, action="subscribe", channel=own_channel(ALICE), since=0)
        assert (answer["type"], answer["seq"]) == ("subscribed", first)
        (second,) = append_trades(ledger, 2)
        frames = [receive(socket), receive(socket)]
        assert [(f["seq"], f["prev"], f["data"]["n"]) for f in frames] == [
            (first, 0, 1),
            (second, first, 2),
        ]


def test_nobody_receives_the_channel_of_another(client: Client, ledger: Engine) -> None:
    with greeted(client) as socket:
        subscribe = {"action": "subscribe", "channel": own_channel(ALICE)}
        assert code(asked(socket, **subscribe)) == "unauthorized"
        assert code(asked(socket, **subscribe, since=0)) == "unauthorized"
        authenticated(socket, ticket(client, session_of(client, BOB)))
        assert code(asked(socket, **subscribe)) == "forbidden"
        assert code(asked(socket, **subscribe, since=0)) == "forbidden"
        assert asked(socket, action="subscribe", channel=own_channel(BOB))["type"] == "subscribed"
        append_trades(ledger, 1)
        append_trades(ledger, 2, to=BOB)
        assert receive(socket)["data"] == {"n": 2}


def test_path_of_a_wallet_subscribes_once_a_ticket_has_signed_it_in(
    client: Client, ledger: Engine
) -> None:
    with client.websocket_connect(f"/users/{ALICE.pubkey()}/positions") as socket:
        assert receive(socket)["type"] == "welcome"
        assert code(receive(socket)) == "unauthorized"
        authenticated(socket, ticket(client, session_of(client, ALICE)))
        subscribed = receive(socket)
        assert (subscribed["type"], subscribed["channel"]) == ("subscribed", own_channel(ALICE))
        append_trades(ledger, 1)
        assert receive(socket)["data"] == {"n": 1}


def test_path_of_another_wallet_stays_closed(client: Client) -> None:
    with client.websocket_connect(f"/users/{ALICE.pubkey()}/positions") as socket:
        assert receive(socket)["type"] == "welcome"
        assert code(receive(socket)) == "unauthorized"
        authenticated(socket, ticket(client, session_of(client, BOB)))
        assert code(receive(socket)) == "forbidden"


def test_operator_does_not_receive_the_channels_of_wallets(client: Client) -> None:
    with greeted(client) as socket:
        data = authenticated(socket, ticket(client, session_of(client, OPERATOR)))
        assert data["is_operator"]
        answer = asked(socket, action="subscribe", channel=own_channel(ALICE))
        assert code(answer) == "forbidden"


def test_ticket_is_good_once(client: Client) -> None:
    good = ticket(client, session_of(client, ALICE))
    with greeted(client) as first, greeted(client) as second:
        authenticated(first, good)
        answer = asked(second, action="authenticate", ticket=good)
        assert code(answer) == "ticket_invalid"
        assert "POST /api/realtime/tickets" in answer["data"]["error"]


def test_ticket_is_good_in_another_process(client: Client, api_settings: Settings) -> None:
    good = ticket(client, session_of(client, ALICE))
    with TestClient(create_app(api_settings)) as other, greeted(other) as socket:
        authenticated(socket, good)


def test_ticket_expires_and_is_stored_as_its_hash(client: Client, owner: Engine) -> None:
    table = accounts.realtime_tickets
    good = ticket(client, session_of(client, ALICE))
    with owner.begin() as conn:
        row = conn.execute(select(table)).one()
        assert row.hash == realtime_tickets.ticket_hash(good)
        assert good not in repr(row)
        conn.execute(update(table).values(expires_at=text("now() - interval '1 second'")))
    with greeted(client) as socket:
        assert code(asked(socket, action="authenticate", ticket=good)) == "ticket_invalid"
    with owner.connect() as conn:
        assert conn.execute(select(table)).all() == []


def test_ticket_ends_with_its_session(client: Client) -> None:
    tokens = sign_in(client, ALICE)
    good = ticket(client, bearer(tokens))
    client.post("/api/auth/logout", json={"refresh_token": tokens["refresh_token"]})
    with greeted(client) as socket:
        assert code(asked(socket, action="authenticate", ticket=good)) == "ticket_invalid"


def test_three_wrong_tickets_close_the_socket(client: Client) -> None:
    with greeted(client) as socket:
        for wrong in ("x", realtime_tickets.new_ticket()):
            assert code(asked(socket, action="authenticate", ticket=wrong)) == "ticket_invalid"
        socket.send_json({"action": "authenticate", "ticket": "y"})
        with pytest.raises(WebSocketDisconnect) as closed:
            receive(socket)
        assert closed.value.code == protocol.CLOSE_AUTHENTICATION


def test_authenticate_needs_a_ticket(client: Client) -> None:
    with greeted(client) as socket:
        answer = asked(socket, action="authenticate")
        assert code(answer) == "invalid_field"
        assert "ticket" in answer["data"]["error"]


End = Callable[[Client, Engine, dict[str, Any]], None]


def log_out(client: Client, _owner: Engine, tokens: dict[str, Any]) -> None:
    body = {"refresh_token": tokens["refresh_token"]}
    assert client.post("/api/auth/logout", json=body).status_code == 200


def end_elsewhere(client: Client, _owner: Engine, tokens: dict[str, Any]) -> None:
    other = session_of(client, ALICE)
    path = f"/api/auth/sessions/{tokens['session']}"
    assert client.delete(path, headers=other).status_code == 200


def expire(_client: Client, owner: Engine, tokens: dict[str, Any]) -> None:
    table = accounts.sessions
    with owner.begin() as conn:
        conn.execute(
            update(table)
            .where(table.c.id == tokens["session"])
            .values(expires_at=text("now() - interval '1 second'"))
        )


def delete(_client: Client, owner: Engine, tokens: dict[str, Any]) -> None:
    table = accounts.sessions
    with owner.begin() as conn:
        conn.execute(table.delete().where(table.c.id == tokens["session"]))


@pytest.mark.parametrize("end", [log_out, end_elsewhere, expire, delete])
def test_private_subscriptions_end_with_the_session(
    client: Client, ledger: Engine, owner: Engine, end: End
) -> None:
    tokens = sign_in(client, ALICE)
    with greeted(client) as socket:
        authenticated(socket, ticket(client, bearer(tokens)))
        asked(socket, action="subscribe", channel="alerts")
        asked(socket, action="subscribe", channel=own_channel(ALICE))
        end(client, owner, tokens)
        ended = receive(socket)
        assert (ended["type"], ended["channel"]) == ("unsubscribed", own_channel(ALICE))
        assert ended["data"]["reason"] == "session_ended"
        # The socket stays, with what is public.
        append_trades(ledger, 1)
        with ledger.begin() as conn:
            raise_alert(conn, LAG, "high", "behind")
        assert receive(socket)["channel"] == "alerts"
        answer = asked(socket, action="subscribe", channel=own_channel(ALICE))
        assert code(answer) == "unauthorized"
        authenticated(socket, ticket(client, session_of(client, ALICE)))
        asked(socket, action="subscribe", channel=own_channel(ALICE), since=0)
        assert receive(socket)["data"] == {"n": 1}


def test_another_wallets_ticket_ends_what_the_first_received(
    client: Client, ledger: Engine
) -> None:
    with greeted(client) as socket:
        authenticated(socket, ticket(client, session_of(client, ALICE)))
        asked(socket, action="subscribe", channel=own_channel(ALICE))
        socket.send_json(
            {"action": "authenticate", "ticket": ticket(client, session_of(client, BOB))}
        )
        ended = receive(socket)
        assert (ended["type"], ended["data"]["reason"]) == ("unsubscribed", "signed_in_again")
        assert receive(socket)["type"] == "authenticated"
        asked(socket, action="subscribe", channel=own_channel(BOB))
        append_trades(ledger, 1)
        append_trades(ledger, 2, to=BOB)
        assert receive(socket)["data"] == {"n": 2}


def test_same_wallets_new_ticket_keeps_what_it_receives(client: Client, ledger: Engine) -> None:
    first = sign_in(client, ALICE)
    with greeted(client) as socket:
        authenticated(socket, ticket(client, bearer(first)))
        asked(socket, action="subscribe", channel=own_channel(ALICE))
        authenticated(socket, ticket(client, session_of(client, ALICE)))
        # The former session does not count any more.
        client.post("/api/auth/logout", json={"refresh_token": first["refresh_token"]})
        with greeted(client) as other:
            # By then the watch has seen that it ended.
            answer = asked(other, action="authenticate", ticket=realtime_tickets.new_ticket())
            assert code(answer) == "ticket_invalid"
        append_trades(ledger, 1)
        assert receive(socket)["data"] == {"n": 1}


def change(ledger: Engine, is_raised: bool) -> None:
    with ledger.begin() as conn:
        if is_raised:
            raise_alert(conn, LAG, "high", "behind by 120 slots", {"slots": 120})
        else:
            clear_alert(conn, LAG)


def test_operators_receive_alerts_with_their_texts(
    client: Client, ledger: Engine, owner: Engine
) -> None:
    key = key_with(owner, service_keys.OPERATOR)
    with greeted(client) as public, greeted(client) as operator, greeted(client) as service:
        authenticated(operator, ticket(client, session_of(client, OPERATOR)))
        data = authenticated(service, ticket(client, key))
        assert data == {"wallet": None, "is_operator": True}
        for socket in (public, operator, service):
            asked(socket, action="subscribe", channel="alerts")
        change(ledger, True)
        shown = receive(public)
        assert (shown["type"], shown["channel"]) == ("alert", "alerts")
        assert shown["data"]["action"] == "raised"
        assert not shown["data"].keys() & {"message", "detail", "subject"}
        for socket in (operator, service):
            received = receive(socket)
            assert received["channel"] == "alerts"
            assert received["data"].items() >= shown["data"].items()
            assert received["data"]["message"] == "behind by 120 slots"
            assert received["data"]["detail"] == {"slots": 120}
        # Health may have raised alerts of its own meanwhile.
        listed = client.get("/api/alerts").json()["alerts"]
        assert shown["data"] in [one | {"action": "raised"} for one in listed]

        # A revoked key ends what it receives; others go on.
        with owner.begin() as conn:
            conn.execute(update(ops.api_keys).values(revoked_at=text("now()")))
        assert receive(service)["data"]["reason"] == "session_ended"
        change(ledger, False)
        assert receive(operator)["data"]["action"] == "cleared"
        assert receive(public)["data"]["action"] == "cleared"
        assert asked(service, action="ping")["type"] == "pong"


def test_key_of_a_wallet_receives_its_channel_until_it_is_revoked(
    client: Client, ledger: Engine, owner: Engine
) -> None:
    key = key_with(owner, service_keys.READ, of=ALICE)
    with greeted(client) as socket:
        data = authenticated(socket, ticket(client, key))
        assert data == {"wallet": str(ALICE.pubkey()), "is_operator": False}
        assert code(asked(socket, action="subscribe", channel=own_channel(BOB))) == "forbidden"
        assert asked(socket, action="subscribe", channel=own_channel(ALICE))["type"] == "subscribed"
        append_trades(ledger, 1)
        assert receive(socket)["data"] == {"n": 1}
        with owner.begin() as conn:
            conn.execute(update(ops.api_keys).values(revoked_at=text("now()")))
        assert receive(socket)["data"]["reason"] == "session_ended"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [(service_keys.READ, "key_wallet_mismatch"), (service_keys.TRADE, "scope_missing")],
)
def test_keys_that_neither_read_for_a_wallet_nor_operate_get_no_ticket(
    client: Client, owner: Engine, scope: str, expected: str
) -> None:
    answer = client.post("/api/realtime/tickets", headers=key_with(owner, scope))
    assert (answer.status_code, answer.json()["code"]) == (403, expected)
    answer = client.post("/api/realtime/tickets")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_tickets_are_limited(client: Client, api_settings: Settings) -> None:
    settings = Settings(**api_settings.model_dump() | {"rate_limit_write": 2})
    with TestClient(create_app(settings)) as limited:
        headers = session_of(limited, ALICE)
        statuses = [
            limited.post("/api/realtime/tickets", headers=headers).status_code for _ in range(3)
        ]
    assert statuses == [201, 201, 429]
