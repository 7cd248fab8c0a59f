"""The AsyncAPI document describes what is sent; its page needs no internet and no scripts."""

from __future__ import annotations

import json
import re

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.asyncapi import examples
from api.asyncapi.commands import COMMANDS
from api.asyncapi.document import asyncapi_document
from api.realtime.protocol import parse_command
from tests.api.documented_messages import DocumentedMessages

Client = TestClient[Litestar]


def test_servers_are_those_under_which_clients_reach_the_api() -> None:
    def urls(origin: str) -> list[str]:
        servers = asyncapi_document(origin, 4001)["servers"]
        return [f"{server['protocol']}://{server['host']}" for server in servers.values()]

    local, public = "localhost:4000", "api.example.com"
    assert urls(f"http://{local}") == [f"ws://{local}", "ws://localhost:4001", f"http://{local}"]
    assert urls(f"https://{public}") == [
        f"wss://{public}",
        f"wss://{public}:4001",
        f"https://{public}",
    ]


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_examples_of_commands_are_commands(name: str) -> None:
    example = examples.of(name)
    assert DocumentedMessages().faults(name, example) == []
    assert parse_command(json.dumps(example)).action == example["action"]


def test_every_example_belongs_to_a_message() -> None:
    described = asyncapi_document("http://localhost:4000", 4001)["components"]["messages"]
    assert set(json.loads(examples.FILE.read_text())) == set(described)
    for name, message in described.items():
        assert DocumentedMessages().faults(name, message["examples"][0]["payload"]) == [], name


def test_an_undocumented_message_is_noticed() -> None:
    documented = DocumentedMessages()
    assert documented.check(examples.of("vote")) == "vote"
    for wrong in (
        examples.of("vote") | {"type": "dance"},
        examples.of("vote") | {"more": 1},
        examples.of("vote") | {"data": examples.of("vote")["data"] | {"more": 1}},
        {name: value for name, value in examples.of("vote").items() if name != "prev"},
        examples.of("vote") | {"channel": "nothing"},
    ):
        with pytest.raises(AssertionError, match="not documented"):
            documented.check(wrong)


def test_page_shows_everything_and_needs_no_other_server(client: Client) -> None:
    document = client.get("/docs/asyncapi.json").json()
    page = client.get("/docs/realtime")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    named = [
        *(f"channel-{key}" for key in document["channels"]),
        *(f"message-{name}" for name in document["components"]["messages"]),
        *(f"schema-{name}" for name in document["components"]["schemas"]),
    ]
    anchors = re.findall(r'id="([^"]+)"', page.text)
    assert sorted(anchors) == sorted([*named, "servers"])
    links = set(re.findall(r'(?:href|src)="([^"]+)"', page.text))
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        else:
            assert client.get(link).status_code == 200, link
    assert {"/docs", "/docs/asyncapi.json"} <= links
    described = client.get("/docs/openapi.json").json()["info"]["description"]
    assert "](/docs/realtime)" in described
