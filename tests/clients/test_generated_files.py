"""What the client libraries have generated is what the API's document says now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.generation.__main__ import generated_files
from clients.generation.document import openapi_document
from clients.generation.operations import operations

PROJECT = Path(__file__).parents[2]
NAMES = ("schema.ts", "models.py", "calls.py")

pytestmark = pytest.mark.process  # Node generates the types of TypeScript


@pytest.fixture(scope="module")
def generated() -> dict[str, tuple[Path, str]]:
    return {path.name: (path, text) for path, text in generated_files().items()}


@pytest.mark.parametrize("name", NAMES)
def test_generated_file_is_current(generated: dict[str, tuple[Path, str]], name: str) -> None:
    assert set(generated) == set(NAMES)
    path, text = generated[name]
    assert path.read_text() == text, f"{path.relative_to(PROJECT)}: run make clients"


def test_every_operation_of_clients_has_a_call() -> None:
    document = openapi_document()
    names = {one.name for one in operations(document)}
    described: list[dict[str, Any]] = [
        operation for item in document["paths"].values() for operation in item.values()
    ]
    left_out = {one["operationId"] for one in described} - names
    assert {name.partition("_alias")[0] for name in left_out} - names == {"receive_helius_webhook"}
    calls = (PROJECT / "clients/python/src/zmart_client/calls.py").read_text()
    assert [name for name in names if f"\ndef {name}(" not in calls] == []
