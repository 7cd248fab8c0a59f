"""Handlers get their dependencies without a task for each."""

from __future__ import annotations

from litestar.routes import HTTPRoute

from api.app import create_app
from zmart_pipelines.settings import Settings


def test_no_handler_resolves_dependencies_in_tasks(api_settings: Settings) -> None:
    batches = [
        batch
        for route in create_app(api_settings).routes
        if isinstance(route, HTTPRoute)
        for _, model in route.route_handler_map.values()
        for batch in model.dependency_batches
    ]
    assert len(batches) > 50
    assert {len(batch) for batch in batches} == {1}
