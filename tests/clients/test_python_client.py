"""The Python clients, against a server that fails as the tests say."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import httpx
import msgspec
import pytest
from zmart_client import (
    ApiError,
    AsyncClient,
    Call,
    Client,
    Configuration,
    RetryPolicy,
    Tokens,
    TransactionFailed,
    calls,
    models,
)

from tests.clients.keypair_wallet import KeypairWallet
from tests.clients.scripted_api import Answer, Received, Script, error, scripted_api

Result = TypeVar("Result")

PAGE = {"markets": [], "count": 0, "count_capped": False, "offset": 0, "limit": 20, "next": None}
LIST = Answer(200, PAGE)
BUSY = error(503, "database_unavailable", "0")
COMMENT = calls.get_comment_text(models.NewComment(market_id="01" * 32, content="hello"))
TEXT = Answer(
    200,
    dict.fromkeys(
        ("message", "action", "subject", "body", "nonce", "issued_at", "expires_at"), "text"
    ),
)
QUICK = RetryPolicy(first_wait=0.001)
FAR = 4e9  # Unix seconds


class AnyClient(Protocol):
    """What the tests use of either client."""

    def send(self, call: Call[Result], *, idempotency_key: str | None = None) -> Result: ...
    def pages(self, call: Call[Result]) -> Iterator[Result]: ...
    def sign_in(self, wallet: Any) -> None: ...
    def sign_out(self) -> None: ...
    def submit(self, wallet: Any, transaction: str) -> models.TransactionDetail: ...


class Blocking:
    """The client of asyncio, one call at a time."""

    def __init__(self, url: str, configuration: Configuration) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url, configuration)

    def send(self, call: Call[Result], *, idempotency_key: str | None = None) -> Result:
        return self._runner.run(self._client.send(call, idempotency_key=idempotency_key))

    def pages(self, call: Call[Result]) -> Iterator[Result]:
        async def gather() -> list[Result]:
            return [page async for page in self._client.pages(call)]

        return iter(self._runner.run(gather()))

    def sign_in(self, wallet: Any) -> None:
        self._runner.run(self._client.sign_in(wallet))

    def sign_out(self) -> None:
        self._runner.run(self._client.sign_out())

    def submit(self, wallet: Any, transaction: str) -> models.TransactionDetail:
        return self._runner.run(self._client.submit(wallet, transaction))


@pytest.fixture(params=[Client, Blocking])
def kind(request: pytest.FixtureRequest) -> Any:
    """Both clients, which must do the same."""
    return request.param


def connected(kind: Any, url: str, **options: Any) -> AnyClient:
    client: AnyClient = kind(url, Configuration(**{"retries": QUICK} | options))
    return client


def steps(*answers: Answer | None) -> Script:
    """Answer with these, one after another; the last one for ever."""
    return lambda _, number: answers[min(number, len(answers)) - 1]


def tokens(access: str = "access-1", refresh: str = "refresh-1", until: float = FAR) -> Tokens:
    return Tokens(access, refresh, until)


def signed_in(number: int) -> Answer:
    times = dict.fromkeys(("access_expires_at", "refresh_expires_at", "session_expires_at"), "")
    return Answer(
        200,
        {"token_type": "Bearer", "expires_in": 600, "csrf_token": None, "session": "", "wallet": ""}
        | {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
        | times,
    )


def test_read_is_repeated_after_refusal_outage_and_disconnection(kind: Any) -> None:
    script = steps(error(429, "limit_exceeded", "0"), BUSY, None, LIST)
    with scripted_api(script) as (url, received):
        assert connected(kind, url).send(calls.list_markets()).markets == []
        assert len(received) == 4


def test_write_is_repeated_with_the_same_body_under_the_same_key(kind: Any) -> None:
    in_flight = error(409, "conflict", "0")
    with scripted_api(steps(None, BUSY, in_flight, TEXT)) as (url, received):
        connected(kind, url).send(COMMENT)
        assert len(received) == 4
        assert len({one.headers["idempotency-key"] for one in received}) == 1
        (body,) = {one.body for one in received}
        assert msgspec.json.decode(body) == {"market_id": "01" * 32, "content": "hello"}


def test_two_writes_have_two_keys_and_a_given_key_is_kept(kind: Any) -> None:
    with scripted_api(steps(TEXT)) as (url, received):
        client = connected(kind, url)
        client.send(COMMENT)
        client.send(COMMENT)
        client.send(COMMENT, idempotency_key="mine")
        client.send(COMMENT)
        keys = [one.headers["idempotency-key"] for one in received]
        assert len(set(keys)) == 4
        assert keys[2] == "mine"


def test_last_error_is_raised_once_the_attempts_are_used_up(kind: Any) -> None:
    with scripted_api(steps(BUSY)) as (url, received):
        with pytest.raises(ApiError, match="database_unavailable") as raised:
            connected(kind, url).send(calls.list_markets())
        assert (raised.value.status, raised.value.code) == (503, "database_unavailable")
        assert len(received) == 4
    with scripted_api(steps(None)) as (url, received):
        with pytest.raises(httpx.TransportError):
            connected(kind, url).send(calls.list_markets())
        assert len(received) == 4


def test_long_waits_and_other_errors_are_raised_at_once(kind: Any) -> None:
    script = steps(
        error(429, "limit_exceeded", "3600"),
        error(404, "market_not_found"),
        error(409, "already_voted"),
        error(503, "database_unavailable"),
        Answer(502, "<html>"),
    )
    with scripted_api(script) as (url, received):
        client = connected(kind, url)
        for code in (
            *("limit_exceeded", "market_not_found", "already_voted", "database_unavailable"),
            "unreadable_answer",
        ):
            with pytest.raises(ApiError) as raised:
                client.send(COMMENT)
            assert raised.value.code == code
            assert raised.value.retry_after == (3600 if code == "limit_exceeded" else None)
        assert len(received) == 5


def test_pages_follow_the_cursor_in_link_without_an_offset(kind: Any) -> None:
    def script(request: Received, number: int) -> Answer:
        link = f'</api/markets?limit=2&cursor=a%2Fb%2B{number}>; rel="next"'
        return Answer(200, PAGE | {"count": number}, {"Link": link} if number < 3 else {})

    with scripted_api(script) as (url, received):
        call = calls.list_markets(state=["ACTIVE", "RESOLVING"], limit=2, offset=0)
        assert [page.count for page in connected(kind, url).pages(call)] == [1, 2, 3]
        lists = "/api/markets?state=ACTIVE&state=RESOLVING&limit=2"
        assert [one.path for one in received] == [
            f"{lists}&offset=0",
            f"{lists}&cursor=a%2Fb%2B1",
            f"{lists}&cursor=a%2Fb%2B2",
        ]


def test_answers_may_have_further_members_and_choices(kind: Any) -> None:
    position = Answer(200, {"message": "m", "session": "s", "since": "later"})
    with scripted_api(steps(position)) as (url, _):
        assert connected(kind, url).send(calls.end_session("s")).session == "s"
    assert ApiError(418, models.ErrorBody(**error(418, "new_code").body), httpx.Headers()).code


def test_wallet_signs_the_text_and_the_tokens_are_kept(kind: Any) -> None:
    wallet, kept = KeypairWallet(), list[Tokens | None]()
    sign_in_text = Answer(
        200,
        {"message": "sign in", "nonce": "n", "wallet": wallet.address}
        | {"issued_at": "", "expires_at": ""}
        | {
            "input": dict.fromkeys(
                (
                    *("domain", "address", "statement", "uri", "version", "chainId", "nonce"),
                    *("issuedAt", "expirationTime"),
                ),
                "",
            )
        },
    )
    script = steps(sign_in_text, signed_in(1), LIST, Answer(200, {"message": "bye"}), LIST)
    with scripted_api(script) as (url, received):
        client = connected(kind, url, on_tokens=kept.append)
        client.sign_in(wallet)
        client.send(calls.list_markets())
        client.sign_out()
        client.send(calls.list_markets())
    signature = wallet.key.sign_message(b"sign in")
    assert f'"signature":"{signature}"'.encode() in received[1].body
    assert received[2].headers["authorization"] == "Bearer access-1"
    assert received[3].body == b'{"refresh_token":"refresh-1"}'
    assert [("authorization" in one.headers) for one in received] == [
        *(False, False, True, False, False)
    ]
    assert [one and one.access_token for one in kept] == ["access-1", None]


def test_sign_in_is_never_sent_twice(kind: Any) -> None:
    with scripted_api(steps(BUSY)) as (url, received):
        body = models.SignInRequest(message="m", signature="s", wallet="w")
        with pytest.raises(ApiError):
            connected(kind, url).send(calls.sign_wallet_in(body))
        assert len(received) == 1
        assert "idempotency-key" not in received[0].headers


def renewing(request: Received, _: int) -> Answer:
    """Accept the access token 2 alone, which the refresh token 1 gets."""
    if request.path == "/api/auth/refresh":
        is_first = request.body == b'{"refresh_token":"refresh-1"}'
        return signed_in(2) if is_first else error(401, "refresh_token_reused")
    is_current = request.headers.get("authorization") == "Bearer access-2"
    return LIST if is_current else error(401, "access_token_expired")


def test_ended_access_token_is_renewed_and_the_call_repeated(kind: Any) -> None:
    kept: list[Tokens | None] = []
    with scripted_api(renewing) as (url, received):
        connected(kind, url, tokens=tokens(), on_tokens=kept.append).send(calls.list_markets())
        assert [one.path for one in received] == [
            "/api/markets",
            "/api/auth/refresh",
            "/api/markets",
        ]
        assert "authorization" not in received[1].headers
        assert kept[0] is not None
        assert kept[0].expires_at > time.time()


def test_token_that_is_about_to_end_is_renewed_before_the_call(kind: Any) -> None:
    with scripted_api(renewing) as (url, received):
        ending = tokens(until=time.time() + 5)
        connected(kind, url, tokens=ending).send(calls.list_markets())
        assert [one.path for one in received] == ["/api/auth/refresh", "/api/markets"]


def test_session_that_cannot_be_renewed_is_given_up(kind: Any) -> None:
    kept: list[Tokens | None] = []
    script = steps(error(401, "access_token_expired"), error(401, "session_ended"), LIST)
    with scripted_api(script) as (url, received):
        client = connected(kind, url, tokens=tokens(), on_tokens=kept.append)
        with pytest.raises(ApiError, match="session_ended"):
            client.send(calls.list_markets())
        assert kept == [None]
        client.send(calls.list_markets())
        assert "authorization" not in received[2].headers


def test_a_token_that_is_refused_again_is_not_renewed_for_ever(kind: Any) -> None:
    def script(request: Received, number: int) -> Answer:
        is_renewal = request.path == "/api/auth/refresh"
        return signed_in(number) if is_renewal else error(401, "access_token_expired")

    with scripted_api(script) as (url, received):
        with pytest.raises(ApiError, match="access_token_expired"):
            connected(kind, url, tokens=tokens()).send(calls.list_markets())
        assert len(received) == 3


def test_threads_renew_the_session_once() -> None:
    with scripted_api(renewing) as (url, received):
        client = connected(Client, url, tokens=tokens())
        with ThreadPoolExecutor(16) as pool:
            for answer in [pool.submit(client.send, calls.list_markets()) for _ in range(16)]:
                answer.result()
        assert [one.path for one in received].count("/api/auth/refresh") == 1


def test_tasks_renew_the_session_once() -> None:
    async def send_all(url: str) -> None:
        async with AsyncClient(url, Configuration(tokens=tokens(), retries=QUICK)) as client:
            await asyncio.gather(*(client.send(calls.list_markets()) for _ in range(16)))

    with scripted_api(renewing) as (url, received):
        asyncio.run(send_all(url))
        assert [one.path for one in received].count("/api/auth/refresh") == 1


def relayed(state: str, error: Any = None) -> dict[str, Any]:
    unknown = ("refusal", "landed_slot", "sent_at", "confirmed_at", "settled_at")
    return {
        **dict.fromkeys(unknown),
        "signature": "s",
        "fee_payer": "w",
        "instructions": [],
        "received_at": "",
        "state": state,
        "error": error,
        "last_valid_block_height": 1,
        "sends": 1,
    }


def detail(state: str, confirmed_at: str | None = None, error: Any = None) -> Answer:
    unknown = ("commitment", "slot", "block_time", "failed", "error", "reported_at", "finalized_at")
    lists = ("sources", "readings", "events", "gaps", "hints", "submissions")
    return Answer(
        200,
        {
            **dict.fromkeys(unknown),
            **{name: [] for name in lists},
            "signature": "s",
            "confirmed_at": confirmed_at,
            "relayed": relayed(state, error),
        },
    )


def test_signed_transaction_is_handed_in_and_its_effects_awaited(kind: Any) -> None:
    """The relay may know of the landing before the ledger has read the transaction."""
    script = steps(Answer(201, relayed("stored")), detail("confirmed"), detail("confirmed", "now"))
    with scripted_api(script) as (url, received):
        unsigned = b64encode(b"transaction").decode()
        assert connected(kind, url).submit(KeypairWallet(), unsigned).confirmed_at == "now"
        sent = msgspec.json.decode(received[0].body)["transaction"]
        assert b64decode(sent) == b"transaction signed"
        assert [one.path for one in received] == ["/api/transactions", *["/api/transactions/s"] * 2]


@pytest.mark.parametrize(
    ("state", "failure", "reason"),
    [
        ("expired", None, "expired"),
        (
            "failed",
            {"name": "TradeTooSmall", "code": 1, "message": None, "raw": 1},
            "TradeTooSmall",
        ),
    ],
)
def test_transaction_without_effect_is_an_error(
    kind: Any, state: str, failure: Any, reason: str
) -> None:
    script = steps(Answer(201, relayed("stored")), detail(state, "now", failure))
    with scripted_api(script) as (url, _):
        with pytest.raises(TransactionFailed) as raised:
            connected(kind, url).submit(KeypairWallet(), "")
        assert raised.value.reason == reason
