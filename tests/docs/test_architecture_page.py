"""The diagrams of docs/architecture.md agree with the import contracts in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs.project_index import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
CHARTS = re.findall(r"^```mermaid\nflowchart \w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
_LABEL = re.compile(r"\[[^\]]*\]")
_EDGE = re.compile(r"^ *(\w+) *--> *(\w+) *$", re.MULTILINE)


def layers(container: str) -> list[set[str]]:
    """Return the layers of a package, the highest first."""
    (contract,) = (
        contract
        for contract in CONTRACTS["contracts"]
        if contract["type"] == "layers" and contract["containers"] == [container]
    )
    return [set(re.split(r" *\| *", layer)) for layer in contract["layers"]]


def members(chart: str) -> dict[str, set[str]]:
    """Return the nodes of each subgraph, those of nested ones included."""
    found: dict[str, set[str]] = {}
    open_ones: list[str] = []
    for line in _LABEL.sub("", chart).splitlines():
        match line.split():
            case ["subgraph", name, *_]:
                found[name] = set()
                open_ones.append(name)
            case ["end"]:
                open_ones.pop()
            case words:
                for name in open_ones:
                    found[name] |= {word for word in words if word != "-->"}
    return found


def edges(chart: str) -> Iterator[tuple[str, str]]:
    """Yield the chart's arrows, one for each pair of nodes that stand in a subgraph."""
    groups = members(chart)
    for source, target in _EDGE.findall(_LABEL.sub("", chart)):
        for importer in sorted(groups.get(source, {source})):
            for imported in sorted(groups.get(target, {target})):
                yield importer, imported


def contradictions(chart: str, order: list[set[str]]) -> list[Any]:
    """Return layers that the chart does not show, and arrows that the contract forbids."""
    rank = {name: number for number, names in enumerate(order) for name in names}
    shown = set(re.findall(r"\w+", _LABEL.sub("", chart)))
    wrong: list[Any] = sorted(rank.keys() - shown)
    for importer, imported in edges(chart):
        if importer in rank and imported in rank and rank[importer] >= rank[imported]:
            wrong.append((importer, imported))
    return wrong


def test_packages_are_drawn_as_the_contract_orders_them() -> None:
    assert contradictions(CHARTS[0], layers("zmart_pipelines")) == []
    shown = set(re.findall(r"\w+", _LABEL.sub("", CHARTS[0])))
    assert set(CONTRACTS["root_packages"]) - {"zmart_pipelines"} <= shown


def test_ledger_is_drawn_as_the_contract_orders_it() -> None:
    assert contradictions(CHARTS[1], layers("zmart_pipelines.ledger")) == []


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("cli --> commands", "commands --> cli", ("commands", "cli")),
        ("statistics --> breakers", "breakers --> statistics", ("breakers", "statistics")),
        ("base --> wallet_transactions", "store --> wallet_transactions", "ipfs"),
    ],
)
def test_wrong_arrow_or_missing_package_is_reported(right: str, wrong: str, found: object) -> None:
    chart = _LABEL.sub("", CHARTS[0])
    assert right in chart
    if isinstance(found, str):
        chart = chart.replace(found, "")
    assert found in contradictions(chart.replace(right, wrong), layers("zmart_pipelines"))
