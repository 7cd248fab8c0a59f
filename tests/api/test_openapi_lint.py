"""Tools of other hands read the OpenAPI document without complaint."""

from __future__ import annotations

from pathlib import Path

from litestar import Litestar
from litestar.testing import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.fixtures.clients import RunClient

REDOCLY = "node_modules/@redocly/cli/bin/cli.js"


def test_document_is_valid_openapi(client: TestClient[Litestar]) -> None:
    document = client.get("/docs/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_redocly_finds_no_error(
    client: TestClient[Litestar], run_client: RunClient, tmp_path: Path
) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(client.get("/docs/openapi.json").text)
    report = run_client(REDOCLY, "lint", path, "--extends=recommended", "--format=json")
    assert report["totals"]["errors"] == 0
