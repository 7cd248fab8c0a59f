"""The buckets of a running API: who takes from which, and what the responses say of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest
import redis
from solders.keypair import Keypair

from tests.api import signing_in
from tests.api.conftest import SECRET
from tests.api.running_api import RunningApi, running
from tests.api.test_service_keys import client_at as at
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.settings import Settings

LIMITS = {
    "anonymous": 60,
    "write": 4,
    "search": 3,
    "auth": 2,
    "webhook": 5,
    "pin_day": 7,
    "wallet": 20,
}
COMMENT = "/api/discussions"
# An item of a structured field (RFC 9651): a string with integer parameters.
_ITEM = r'"([a-z_]+)"((?:;[a-z]+=\d+)+)'


@pytest.fixture(scope="module")
def api(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    limits = {f"rate_limit_{name}": limit for name, limit in LIMITS.items()}
    settings = Settings.model_validate(
        module_settings.model_dump() | limits | {"trusted_proxies": "127.0.0.0/8"}
    )
    with running(settings, tmp_path_factory.mktemp("api")) as started:
        yield started


@pytest.fixture
def http(api: RunningApi) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=60, trust_env=False) as client:
        yield client


def parsed(field: str) -> dict[str, dict[str, int]]:
    """The members of RateLimit or RateLimit-Policy by their names."""
    assert re.fullmatch(rf"{_ITEM}(?:, *{_ITEM})*", field), field
    return {
        name: {key: int(value) for key, value in re.findall(r";([a-z]+)=(\d+)", parameters)}
        for name, parameters in re.findall(_ITEM, field)
    }


def exhaust(http: httpx.Client, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """Send requests until one is refused."""
    for _ in range(200):
        answer = http.request(method, path, headers=headers)
        if answer.status_code == 429:
            return answer
    raise AssertionError("no limit")


def test_small_bucket_is_one_more_and_is_named(http: httpx.Client) -> None:
    headers = at("192.0.2.1")
    first = http.post(COMMENT, headers=headers)
    assert first.status_code == 400, "a request that is refused for what it says counts"
    assert parsed(first.headers["ratelimit-policy"]) == {
        "anonymous": {"q": 60, "w": 60},
        "write": {"q": 4, "w": 60},
    }
    # At most 59 and 3: where Redis does not answer in time, a bucket starts with fewer tokens.
    left = parsed(first.headers["ratelimit"])
    assert 29 <= left["anonymous"]["r"] <= 59
    assert left["anonymous"]["t"] == 1
    assert 1 <= left["write"]["r"] <= 3
    assert left["write"]["t"] == 15
    refused = exhaust(http, "POST", COMMENT, headers)
    assert refused.json()["limit"]["bucket"] == "write"
    assert refused.json()["violated-policies"] == ["write"]
    states = parsed(refused.headers["ratelimit"])
    assert states["write"]["r"] == 0
    # The draft: not earlier than the end of the effective window.
    assert int(refused.headers["retry-after"]) >= states["write"]["t"] >= 1
    # Reads go on.
    read = http.get("/api/markets", headers=headers)
    assert read.status_code == 200
    assert list(parsed(read.headers["ratelimit"])) == ["anonymous"]


def test_values_of_the_fields_hold_for_a_whole_bucket(http: httpx.Client) -> None:
    """What is left never exceeds the quota, and comes back within the stated time."""
    headers = at("192.0.2.2")
    previous = None
    for _ in range(80):
        answer = http.get("/no/such/route", headers=headers)
        state = parsed(answer.headers["ratelimit"])["anonymous"]
        policy = parsed(answer.headers["ratelimit-policy"])["anonymous"]
        assert 0 <= state["r"] < policy["q"]
        assert 1 <= state["t"] <= policy["w"]
        assert (answer.status_code == 429) == ("retry-after" in answer.headers)
        if previous is not None:
            assert state["r"] >= previous - 1
        previous = state["r"]


@pytest.mark.parametrize("path", ["/api/markets?q=rain", "/api//markets/?limit=1&%71=rain"])
def test_searches_have_a_bucket_however_they_are_written(http: httpx.Client, path: str) -> None:
    headers = at("192.0.2.3" if path.startswith("/api/m") else "192.0.2.4")
    refused = exhaust(http, "GET", path, headers)
    assert refused.json()["limit"]["bucket"] == "search"
    assert http.get("/api/markets", headers=headers).status_code == 200


def test_head_takes_what_get_takes(http: httpx.Client) -> None:
    headers = at("192.0.2.5")
    exhaust(http, "GET", "/api/markets?q=rain", headers)
    assert http.head("/api/markets?q=rain", headers=headers).status_code == 429


def test_forged_deliveries_do_not_use_up_the_tokens_of_real_ones(http: httpx.Client) -> None:
    path = "/api/webhooks/helius"
    forger = at("192.0.2.6", Authorization="x" * 45)
    refused = exhaust(http, "POST", path, forger)
    assert refused.json()["limit"]["bucket"] == "webhook"
    assert int(refused.headers["retry-after"]) >= 1
    # From the same address, behind the same proxy.
    real = at("192.0.2.6", Authorization=SECRET)
    answer = http.post(path, content=b"[]", headers=real)
    assert answer.status_code == 200
    assert list(parsed(answer.headers["ratelimit"])) == ["webhook"]
    # Deliveries take from no general bucket, and general requests from no bucket of theirs.
    assert http.get("/api/markets", headers=forger | {"Authorization": ""}).status_code == 200
    assert exhaust(http, "POST", path, real).json()["limit"]["bucket"] == "webhook"


def signed_text(http: httpx.Client, wallet: Keypair, address: str) -> dict[str, object]:
    return signing_in.signed_text(http, wallet, **at(address))


def test_wallet_that_signed_in_has_a_bucket_wherever_it_is(http: httpx.Client) -> None:
    wallet = Keypair()
    body = signed_text(http, wallet, "192.0.2.50")
    tokens = http.post("/api/auth/verify", json=body, headers=at("192.0.2.50"))
    assert list(parsed(tokens.headers["ratelimit-policy"])) == ["anonymous", "auth"]
    session = signing_in.bearer(tokens.json())
    for number in range(3):
        answer = http.get("/no/such/route", headers=at(f"192.0.2.{51 + number}", **session))
        assert list(parsed(answer.headers["ratelimit-policy"])) == ["wallet"]
    refused = exhaust(http, "GET", "/no/such/route", at("192.0.2.54", **session))
    assert refused.json()["limit"]["bucket"] == "wallet"
    # Without the session its addresses have their own buckets, which it has not used up.
    assert http.get("/api/markets", headers=at("192.0.2.54")).status_code == 200
    # A token that is not accepted counts for the address.
    wrong = http.get("/api/markets", headers=at("192.0.2.55", Authorization="Bearer a.b.c"))
    assert wrong.status_code == 401
    assert list(parsed(wrong.headers["ratelimit"])) == ["anonymous"]


def test_sign_ins_are_limited_by_address(http: httpx.Client) -> None:
    headers = at("192.0.2.60")
    statuses = [
        http.post("/api/auth/nonce", json={"wallet": str(Keypair().pubkey())}, headers=headers)
        for _ in range(LIMITS["auth"] + 1)
    ]
    assert statuses[0].status_code == 200
    assert statuses[-1].status_code == 429
    assert statuses[-1].json()["limit"]["bucket"] == "auth"


def test_sign_ins_are_limited_by_wallet_and_others_cannot_lock_it_out(http: httpx.Client) -> None:
    wallet = Keypair()
    for number in range(2 * LIMITS["auth"]):
        signed_text(http, Keypair(), f"198.51.100.{number}")
        asked = {"wallet": str(wallet.pubkey())}
        headers = at(f"198.51.101.{number}")
        assert http.post("/api/auth/nonce", json=asked, headers=headers).status_code == 200
        forged = signed_text(http, wallet, f"198.51.102.{number}") | {"signature": "1" * 64}
        answer = http.post("/api/auth/verify", json=forged, headers=at(f"198.51.103.{number}"))
        assert answer.status_code in {400, 401}
    statuses = []
    for number in range(LIMITS["auth"] + 1):
        body = signed_text(http, wallet, f"198.51.104.{number}")
        answer = http.post("/api/auth/verify", json=body, headers=at(f"198.51.105.{number}"))
        statuses.append(answer.status_code)
    assert statuses == [200] * LIMITS["auth"] + [429]
    assert answer.json()["limit"]["bucket"] == "auth"


def test_limits_are_published_as_they_hold(http: httpx.Client) -> None:
    answer = http.get("/api/limits", headers=at("192.0.2.7"))
    assert answer.status_code == 200
    listed = {one["bucket"]: one for one in answer.json()["buckets"]}
    policies = {name: one["policies"] for name, one in listed.items()}
    assert policies["anonymous"] == [{"name": "anonymous", "limit": 60, "window_seconds": 60}]
    # On localnet what is not set is not limited: 5 a minute otherwise.
    assert policies["pin"] == [{"name": "pin_day", "limit": 7, "window_seconds": 86400}]
    assert listed["auth"]["per"] == ["address", "wallet"]
    routes = answer.json()["routes"]
    search = {"method": "GET", "path": "/api/markets", "bucket": "search", "parameter": "q"}
    assert search in routes
    assert {one["bucket"] for one in routes} >= {"write", "pin", "webhook"}


def test_thousand_forged_addresses_are_one_client(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From an address that is no proxy's, whatever it claims."""
    limit = 30
    settings = Settings.model_validate(
        module_settings.model_dump()
        | {"rate_limit_anonymous": limit, "trusted_proxies": "10.0.0.0/8"}
        | {"api_port": unused_port(), "ws_port": unused_port()}
    )
    url = settings.redis_url.get_secret_value()
    redis.Redis.from_url(url).delete("limit:anonymous:127.0.0.1")
    with (
        running(settings, tmp_path_factory.mktemp("forged")) as api,
        httpx.Client(base_url=api.url, timeout=60, trust_env=False) as http,
    ):
        began = time.monotonic()
        statuses = [
            http.get(
                "/no/such/route",
                headers={
                    "X-Forwarded-For": f"198.51.{number // 250}.{number % 250}",
                    "Forwarded": f"for=198.51.100.{number % 250}",
                    "X-Real-IP": f"203.0.113.{number % 250}",
                },
            ).status_code
            for number in range(1000)
        ]
        passed = statuses.count(404)
        refill = (time.monotonic() - began) * limit / 60
        assert 0 < passed <= limit + refill
        assert statuses.count(429) == 1000 - passed
        assert "of 127.0.0.1 in the bucket anonymous" in api.log.read_text()
