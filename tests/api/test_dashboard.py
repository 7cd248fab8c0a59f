"""The dashboard's files as the API serves them."""

from __future__ import annotations

import re

import brotli
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api import dashboard_files
from api.middleware.fixed_headers import HeadersByPath

Client = TestClient[Litestar]

MAX_COMPRESSED = 300 * 1024
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL)


def test_browsers_are_sent_to_the_dashboard_and_programs_to_the_documentation(
    client: Client,
) -> None:
    def target(accept: str) -> str:
        answer = client.get("/", headers={"Accept": accept}, follow_redirects=False)
        assert answer.status_code == 302
        return answer.headers["location"]

    assert target("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8") == "/app"
    assert target("*/*") == "/docs"


@pytest.mark.parametrize("path", ["/app", "/app/", "/app/markets", "/app/markets/00ff?x=1"])
def test_every_address_has_the_page_under_a_policy_without_inline_code(
    client: Client, path: str
) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert [code for _, code in SCRIPT.findall(page.text)] == [""]
    assert "style=" not in page.text
    assert "<style" not in page.text


@pytest.mark.parametrize(
    ("url", "sources"),
    [
        (None, "connect-src 'self';"),
        ("https://rpc.example.com", "connect-src 'self' https://rpc.example.com;"),
    ],
)
def test_the_page_asks_only_this_origin_and_the_public_rpc_endpoint(
    url: str | None, sources: str
) -> None:
    headers = dict(HeadersByPath(url).of("/app/markets").headers)
    assert sources in headers[b"content-security-policy"].decode()
    assert HeadersByPath(url).of("/api/markets") == HeadersByPath(None).of("/api/markets")


def test_what_the_page_loads_is_ours_and_kept_for_good(client: Client) -> None:
    links = re.findall(r'(?:src|href)="([^"]+)"', client.get("/app").text)
    assert len(links) >= 4
    for link in links:
        assert link.startswith(("/app/assets/", "/docs")), link
        if link.startswith("/app/"):
            answer = client.get(link)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]


def test_a_file_that_does_not_exist_is_a_404(client: Client) -> None:
    answer = client.get("/app/assets/none.js")
    assert answer.status_code == 404
    assert answer.json()["code"] == "file_not_found"


def test_all_files_together_are_small() -> None:
    files = [one.content for one in dashboard_files.assets().values()]
    sizes = [min(len(one), len(brotli.compress(one, quality=4))) for one in files]
    assert 50_000 < sum(sizes) < MAX_COMPRESSED


def test_no_file_names_another_server() -> None:
    # Names of vocabularies and in messages, which nothing asks for, and a page that links lead to.
    allowed = {b"www.w3.org", b"github.com", b"explorer.solana.com"}
    for name, file in dashboard_files.assets().items():
        if file.media_type != "font/woff2":
            hosts = set(re.findall(rb"https?://([\w.-]+\.[a-z]{2,})", file.content))
            assert hosts <= allowed, (name, hosts)
