"""The Helius client against a server that behaves as documented; no error reveals the key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from tests.chain.helius_api import KEY, HeliusApi
from zmart_pipelines.chain.helius_webhooks import DesiredWebhook, HeliusClient, HeliusError
from zmart_pipelines.runtime.ports import unused_port

SECRET = "the-secret-of-the-webhook"
DESIRED = DesiredWebhook("https://api.example.com/hook", ["prog"], "raw", SECRET)


@pytest.fixture
def api() -> Iterator[HeliusApi]:
    made = HeliusApi()
    yield made
    made.close()


@pytest.fixture
def client(api: HeliusApi) -> Iterator[HeliusClient]:
    with HeliusClient(api.url, SecretStr(KEY), 2) as made:
        yield made


def test_create_update_activate(api: HeliusApi, client: HeliusClient) -> None:
    made = client.create(DESIRED)
    assert api.hooks[made.id]["authHeader"] == SECRET
    assert api.hooks[made.id]["accountAddresses"] == ["prog"]
    assert made.differences(DESIRED) == []
    assert client.webhooks() == [made]
    other = DesiredWebhook(
        "https://api.example.com/other", ["prog", "a"], "rawDevnet", "another one"
    )
    assert made.differences(other) == ["url", "addresses", "type", "secret"]
    changed = client.update(made.id, other)
    assert changed.differences(other) == []
    api.hooks[made.id]["active"] = False
    assert [one.active for one in client.webhooks()] == [False]
    assert client.activate(made.id).active
    assert SECRET not in repr((made, DESIRED))


def test_an_answer_without_optional_fields_is_read(api: HeliusApi, client: HeliusClient) -> None:
    hook = api.add(webhookURL="https://x.example", webhookType="enhanced", accountAddresses=[])
    for name in ("active", "txnStatus", "transactionTypes"):
        del api.hooks[hook][name]
    (found,) = client.webhooks()
    assert (found.active, found.auth_header) == (True, None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_refusal_names_the_status_and_neither_key_nor_secret(
    api: HeliusApi, client: HeliusClient, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.fail = status
    with pytest.raises(HeliusError, match=str(status)) as refused:
        client.create(DESIRED)
    assert refused.value.status == status
    for text in (str(refused.value), repr(refused.value.__cause__), caplog.text):
        assert KEY not in text
        assert SECRET not in text


def slow(api: HeliusApi) -> None:
    api.delay = 3


def garbled(api: HeliusApi) -> None:
    api.body = b"<html>" + KEY.encode()


@pytest.mark.parametrize("trouble", [slow, garbled])
def test_unusable_response_is_an_error_without_the_key(
    api: HeliusApi, trouble: Callable[[HeliusApi], None]
) -> None:
    trouble(api)
    with (
        HeliusClient(api.url, SecretStr(KEY), 0.3) as client,
        pytest.raises(HeliusError) as failed,
    ):
        client.webhooks()
    assert KEY not in str(failed.value)


def test_wrong_key_and_unreachable_server(api: HeliusApi) -> None:
    with (
        HeliusClient(api.url, SecretStr("wrong-geheim"), 2) as client,
        pytest.raises(HeliusError, match="HELIUS_API_KEY is not accepted") as refused,
    ):
        client.webhooks()
    assert "geheim" not in str(refused.value)
    with (
        HeliusClient(f"http://127.0.0.1:{unused_port()}", SecretStr(KEY), 2) as client,
        pytest.raises(HeliusError, match="ConnectError"),
    ):
        client.webhooks()


def test_key_is_never_sent_over_plain_http() -> None:
    with pytest.raises(HeliusError, match="https"):
        HeliusClient("http://api.example.com", SecretStr(KEY))
