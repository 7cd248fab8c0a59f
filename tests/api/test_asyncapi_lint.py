"""The parser of the AsyncAPI project reads the document without complaint."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.fixtures.clients import RunClient

Document = dict[str, Any]

# The document is of version 3.0, which more programs read than 3.1.
ACCEPTED = {"asyncapi-latest-version"}


@pytest.fixture
def lint(run_client: RunClient, tmp_path: Path) -> Callable[[Document], Any]:
    """What the parser says of a document."""

    def run(document: Document) -> Any:
        path = tmp_path / "asyncapi.json"
        path.write_text(json.dumps(document))
        return run_client("asyncapi.mjs", path)

    return run


def test_parser_accepts_the_document(
    client: TestClient[Litestar], lint: Callable[[Document], Any]
) -> None:
    document = client.get("/docs/asyncapi.json").json()
    report = lint(document)
    complaints = [one for one in report["diagnostics"] if one["code"] not in ACCEPTED]
    assert complaints == []
    assert report["channels"] == [one["address"] for one in document["channels"].values()]


def test_parser_refuses_broken_documents(
    client: TestClient[Litestar], lint: Callable[[Document], Any]
) -> None:
    document = client.get("/docs/asyncapi.json").json()

    def errors(change: Callable[[Document], object]) -> list[str]:
        broken = copy.deepcopy(document)
        change(broken)
        found = lint(broken)["diagnostics"]
        return [one["path"] for one in found if one["severity"] == "error"]

    assert errors(lambda broken: broken["channels"]["market"].pop("messages"))
    assert errors(lambda broken: broken["components"]["schemas"].pop("TradeFrame"))
    assert errors(lambda broken: broken["operations"]["sendMarket"].update(action="shout")) != []
    foreign = {"$ref": "#/channels/markets/messages/marketState"}
    assert errors(lambda broken: broken["operations"]["sendMarket"]["messages"].append(foreign))
