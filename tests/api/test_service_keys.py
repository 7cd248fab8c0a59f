"""Limits and service keys through a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
from click.testing import CliRunner
from solders.keypair import Keypair

from tests.api.running_api import RunningApi, running
from zmart_pipelines.cli import main
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import api_keys

LIMIT = 5
SYSTEM_KEY = "zmart_" + "s" * 43
WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def api(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    settings = Settings.model_validate(
        module_settings.model_dump()
        | {
            "rate_limit_anonymous": LIMIT,
            "rate_limit_wallet": LIMIT,
            "trusted_proxies": "127.0.0.0/8",
            "service_api_key": SYSTEM_KEY,
        }
    )
    with running(settings, tmp_path_factory.mktemp("api")) as started:
        yield started


@pytest.fixture
def http(api: RunningApi) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=60, trust_env=False) as client:
        yield client


def client_at(address: str, **more: str) -> dict[str, str]:
    """Headers of a request that the proxy forwards for this address."""
    return {"X-Forwarded-For": address, **more}


def zmart(settings: Settings, *words: str) -> str:
    """Run the command on the API's database; return its output."""
    owner = settings.database_url.get_secret_value()
    environment = {"DATABASE_URL": owner, "ZMART_STATE": str(settings.zmart_state)}
    result = CliRunner().invoke(main, ["keys", *words], env=environment)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_limit_is_stated_reached_and_explained(http: httpx.Client) -> None:
    # Requests without a route count as well.
    paths = ["/api/markets", "/no/such/route"] * 10
    answers = [http.get(path, headers=client_at("192.0.2.1")) for path in paths]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= len(paths) - LIMIT - 5, "a slow machine refills some tokens"
    assert all(answer.status_code != 429 for answer in answers[:LIMIT])
    assert answers[0].headers["ratelimit-policy"] == f'"anonymous";q={LIMIT};w=60'
    assert answers[0].headers["ratelimit"].startswith(f'"anonymous";r={LIMIT - 1};t=')
    last = refused[0]
    assert 1 <= int(last.headers["retry-after"]) <= 60 / LIMIT
    assert last.headers["ratelimit"].startswith('"anonymous";r=0;t=')
    body = last.json()
    assert body["code"] == "limit_exceeded"
    assert body["limit"] == {
        "name": "rate_limit_anonymous",
        "value": LIMIT,
        "bucket": "anonymous",
        "window_seconds": 60,
        "retry_after_seconds": int(last.headers["retry-after"]),
    }
    assert body["violated-policies"] == ["anonymous"]
    assert "anonymous" in body["message"]
    assert last.headers["retry-after"] in body["message"]


def exhaust(http: httpx.Client, headers: dict[str, str]) -> None:
    for _ in range(50):
        if http.get("/no/such/route", headers=headers).status_code == 429:
            return
    raise AssertionError("no limit")


@pytest.mark.parametrize(
    ("exhausted", "same", "other"),
    [
        ("192.0.2.10", "192.0.2.10:8080", "192.0.2.11"),
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff::2", "2001:db8:1:2::1"),
        # What the client itself claims stands before what the proxy adds.
        ("192.0.2.20", "198.51.100.7, 192.0.2.20", "192.0.2.20, 192.0.2.21"),
    ],
)
def test_client_is_the_last_address_that_no_proxy_has(
    http: httpx.Client, exhausted: str, same: str, other: str
) -> None:
    exhaust(http, client_at(exhausted))
    assert http.get("/no/such/route", headers=client_at(same)).status_code == 429
    assert http.get("/no/such/route", headers=client_at(other)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health/live", 200), ("GET", "/health", 200), ("POST", "/api/webhooks/helius", 401)],
)
def test_health_and_webhooks_stand_outside(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    headers = client_at("192.0.2.30")
    exhaust(http, headers)
    answers = [http.request(method, path, headers=headers) for _ in range(2 * LIMIT)]
    assert {answer.status_code for answer in answers} == {status}
    assert "ratelimit" not in answers[0].headers


def is_let_in(http: httpx.Client, headers: dict[str, str]) -> bool:
    return http.get("/api/markets", headers=headers).is_success


def test_created_key_is_not_limited_until_it_is_revoked(api: RunningApi) -> None:
    key = zmart(api.settings, "create", "indexer")
    with httpx.Client(base_url=api.url, timeout=60, trust_env=False) as http:
        for carrier in ({"X-Api-Key": key}, {"Authorization": f"Bearer {key}"}):
            headers = client_at("192.0.2.40", **carrier)
            until(partial(is_let_in, http, headers))
            answers = [http.get("/api/markets", headers=headers) for _ in range(3 * LIMIT)]
            assert {answer.status_code for answer in answers} == {200}
            assert "ratelimit" not in answers[0].headers
        reader = role_engine(Role.API, api.settings.database_url.get_secret_value())
        try:

            def was_noted() -> bool:
                with reader.connect() as conn:
                    (found,) = api_keys.accepted_keys(conn)
                return found.last_used_on == datetime.now(UTC).date()

            until(was_noted)
        finally:
            reader.dispose()
        (listed,) = json.loads(zmart(api.settings, "list", "--json"))
        assert listed["name"] == "indexer"
        assert key.startswith(listed["prefix"])
        assert key not in zmart(api.settings, "list")
        zmart(api.settings, "revoke", "indexer")
        headers = client_at("192.0.2.41", **{"X-Api-Key": key})
        until(lambda: http.get("/no/such/route", headers=headers).status_code in {401, 429})
    assert key not in api.log.read_text()


def test_wrong_key_is_a_401_that_counts(http: httpx.Client) -> None:
    headers = client_at("192.0.2.50", **{"X-Api-Key": "zmart_" + "x" * 43})
    answers = [http.get("/api/markets", headers=headers) for _ in range(4 * LIMIT)]
    assert answers[0].status_code == 401
    assert answers[0].json()["code"] == "invalid_api_key"
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert 429 in {answer.status_code for answer in answers}


def test_systems_own_key_needs_no_row(http: httpx.Client) -> None:
    headers = client_at("192.0.2.60", **{"X-Api-Key": SYSTEM_KEY})
    answers = [http.get("/api/markets", headers=headers) for _ in range(3 * LIMIT)]
    assert {answer.status_code for answer in answers} == {200}


def test_key_without_the_scope_has_the_limit(api: RunningApi, http: httpx.Client) -> None:
    key = zmart(api.settings, "create", "reports", "--scope", "read")
    headers = client_at("192.0.2.70", **{"X-Api-Key": key})
    until(lambda: http.get("/api/markets", headers=headers).status_code != 401)
    exhaust(http, headers)


def test_name_is_used_by_one_accepted_key(api: RunningApi) -> None:
    environment = {
        "DATABASE_URL": api.settings.database_url.get_secret_value(),
        "ZMART_STATE": str(api.settings.zmart_state),
    }
    first = zmart(api.settings, "create", "twice")
    again = CliRunner().invoke(main, ["keys", "create", "twice"], env=environment)
    assert again.exit_code == 1
    assert "revoke twice" in again.output
    zmart(api.settings, "revoke", "twice")
    assert zmart(api.settings, "create", "twice") != first
    missing = CliRunner().invoke(main, ["keys", "revoke", "nothing"], env=environment)
    assert missing.exit_code == 1


def test_key_belongs_to_a_wallet_and_has_known_scopes(api: RunningApi) -> None:
    wallet = str(Keypair().pubkey())
    zmart(api.settings, "create", "bot", "--scope", "read", "--scope", "trade", "--wallet", wallet)
    listed = {one["name"]: one for one in json.loads(zmart(api.settings, "list", "--json"))}
    assert (listed["bot"]["scopes"], listed["bot"]["wallet"]) == (["read", "trade"], wallet)
    assert wallet in zmart(api.settings, "list")
    for words, code in ((["--wallet", "nobody"], 1), (["--scope", "everything"], 2)):
        environment = {
            "DATABASE_URL": api.settings.database_url.get_secret_value(),
            "ZMART_STATE": str(api.settings.zmart_state),
        }
        refused = CliRunner().invoke(main, ["keys", "create", "wrong", *words], env=environment)
        assert refused.exit_code == code, refused.output
        assert words[1] in refused.output
    assert "wrong" not in zmart(api.settings, "list")
