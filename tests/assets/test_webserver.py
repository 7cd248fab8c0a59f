"""What the Dagster webserver refuses, asked by HTTP and WebSocket of the real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from assets.webserver import own_hosts
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.settings import Settings

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
PROXY = "https://dagster.example.com"
FOREIGN = "https://evil.example"
# Needs no code location, and what it did can be read back.
PAUSE = "mutation { setAutoMaterializePaused(paused: true) }"
RESUME = "mutation { setAutoMaterializePaused(paused: false) }"
IS_PAUSED = "{ instance { autoMaterializePaused } }"


class Webserver:
    """A running webserver without code locations."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.origin, trust_env=False, timeout=30)

    def operate(self, query: str, **headers: str) -> httpx.Response:
        """Send a GraphQL operation as the UI does."""
        return self.client.post("/graphql", json={"query": query}, headers=headers)

    def is_paused(self) -> bool:
        answer: bool = self.operate(IS_PAUSED).json()["data"]["instance"]["autoMaterializePaused"]
        return answer


@contextmanager
def running_webserver(home: Path, *options: str) -> Iterator[Webserver]:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    port = unused_port()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "DAGSTER_ORIGINS": PROXY,
        "ZMART_ENV_FILE": "",
    }
    with (home / "webserver.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "assets.webserver", "--empty-workspace"),
                *("-h", "127.0.0.1", "-p", str(port), *options),
            ],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        found = Webserver(port)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                found.client.get("/server_info")
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((home / "webserver.log").read_text())
                time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webserver]:
    with running_webserver(tmp_path_factory.mktemp("dagster")) as found:
        yield found


@pytest.fixture(autouse=True)
def resumed(request: pytest.FixtureRequest) -> None:
    if "webserver" in request.fixturenames:
        request.getfixturevalue("webserver").operate(RESUME)


def test_own_page_and_programs_may_send_mutations(webserver: Webserver) -> None:
    for headers in (
        {},
        {"Origin": webserver.origin, "Sec-Fetch-Site": "same-origin"},
        {
            "Host": f"localhost:{webserver.port}",
            "Origin": f"http://localhost:{webserver.port}",
        },
    ):
        webserver.operate(RESUME)
        assert webserver.operate(PAUSE, **headers).json()["data"] == {
            "setAutoMaterializePaused": True
        }
        assert webserver.is_paused()


@pytest.mark.parametrize("host", ["dagster.example.com", "127.0.0.1:3000"])
def test_page_behind_the_proxy_may_send_mutations(webserver: Webserver, host: str) -> None:
    """Whether the proxy passes the Host on or not."""
    assert webserver.operate(PAUSE, Host=host, Origin=PROXY).status_code == 200
    assert webserver.is_paused()


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize("path", ["/graphql", "/%67raphql"])
def test_mutation_by_link_is_refused(webserver: Webserver, path: str, accept: str) -> None:
    answer = webserver.client.get(
        path, params={"query": PAUSE}, headers={"Accept": accept}, follow_redirects=True
    )
    assert answer.status_code == 405
    assert "POST" in answer.text
    assert not webserver.is_paused()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        # Both are sent without asking first, and Dagster searches the value for the type.
        "text/plain; application/json",
        "text/plain; application/graphql",
        "application/graphql",
        None,
    ],
)
def test_mutation_by_form_is_refused(webserver: Webserver, content_type: str | None) -> None:
    answer = webserver.client.post(
        "/graphql",
        params={"query": PAUSE},
        content=json.dumps({"query": PAUSE}),
        headers={"Content-Type": content_type} if content_type else {},
    )
    assert answer.status_code == 415
    assert "application/json" in answer.text
    assert not webserver.is_paused()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://dagster.example.com"},
        {"Origin": f"{PROXY}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80", "Origin": "http://evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "dagster.example.com", "Origin": "http://dagster.example.com"},
        {"Host": ""},
    ],
    ids=str,
)
def test_mutation_from_a_foreign_page_is_refused(
    webserver: Webserver, headers: dict[str, str]
) -> None:
    answer = webserver.operate(PAUSE, **headers)
    assert answer.status_code == 403
    assert "not accepted" in answer.text or "DAGSTER_ORIGINS" in answer.text
    assert not webserver.is_paused()


@pytest.mark.parametrize("name", ["Host", "Origin", "Content-Type"])
def test_header_given_twice_is_refused(webserver: Webserver, name: str) -> None:
    body = json.dumps({"query": PAUSE}).encode()
    connection = HTTPConnection("127.0.0.1", webserver.port, timeout=30)
    connection.putrequest("POST", "/graphql", skip_host=True)
    for header in (
        ("Host", f"127.0.0.1:{webserver.port}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Origin", webserver.origin),
        (name, "evil.example"),
    ):
        connection.putheader(*header)
    connection.endheaders(body)
    assert connection.getresponse().status in (400, 403, 415)
    assert not webserver.is_paused()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(webserver: Webserver, method: str) -> None:
    answer = webserver.client.request(method, "/graphql", json={"query": PAUSE})
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers
    assert not webserver.is_paused()


@pytest.mark.parametrize("kind", ["materialization", "check", "observation"])
def test_events_cannot_be_reported_by_form(webserver: Webserver, kind: str) -> None:
    answer = webserver.client.post(
        f"/report_asset_{kind}/market/state", params={"check_name": "x", "passed": "true"}
    )
    assert answer.status_code == 415


def test_no_page_is_shown_to_a_foreign_host(webserver: Webserver) -> None:
    """A name of an attacker that resolves to this machine would read everything."""
    assert webserver.client.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_pages_are_shown_in_no_foreign_frame(webserver: Webserver) -> None:
    for path in ("/", "/runs", "/graphql"):
        answer = webserver.client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"


def open_socket(webserver: Webserver, host: str | None = None, origin: str | None = None) -> Any:
    options: dict[str, Any] = {"origin": origin}
    if host is not None:
        options["sock"] = create_connection(("127.0.0.1", webserver.port))
    return connect(
        f"ws://{host or f'127.0.0.1:{webserver.port}'}/graphql",
        subprotocols=["graphql-ws"],  # type: ignore[list-item]
        proxy=None,
        **options,
    )


@pytest.mark.parametrize(
    ("host", "origin"),
    [(None, FOREIGN), (None, "null"), ("evil.example", None), ("evil.example", FOREIGN)],
)
def test_websocket_from_a_foreign_page_is_refused(
    webserver: Webserver, host: str | None, origin: str | None
) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(webserver, host, origin):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", [None, "own", PROXY])
def test_websocket_carries_no_mutation(webserver: Webserver, origin: str | None) -> None:
    """Our own page's socket opens, and it serves subscriptions alone."""
    with open_socket(webserver, origin=webserver.origin if origin == "own" else origin) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(30)) == {"type": "connection_ack"}
        socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": PAUSE}}))
        assert json.loads(socket.recv(30))["type"] == "error"
    assert not webserver.is_paused()


def test_read_only_webserver_refuses_mutations(tmp_path: Path) -> None:
    with running_webserver(tmp_path, "--read-only") as webserver:
        before = webserver.is_paused()
        answer = webserver.operate(RESUME if before else PAUSE)
        assert webserver.is_paused() is before
    assert "Unauthorized" in answer.text


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("0.0.0.0", set()),  # noqa: S104
        ("::", set()),
        ("::1", {"[::1]"}),
        ("dagster.internal", {"dagster.internal"}),
    ],
)
def test_wildcard_address_is_no_host_name(host: str, names: set[str]) -> None:
    assert own_hosts(Settings(dagster_host=host)) == names


@pytest.mark.parametrize("origins", ["*", "dagster.example.com", "https://a.example/path"])
def test_origins_are_exact(origins: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        Settings(dagster_origins=origins)
