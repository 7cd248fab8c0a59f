"""Dependencies of handlers, resolved one after the other.

Litestar resolves those that do not depend on each other in a group of tasks, one per dependency
and request. That helps where a dependency waits for something. Ours are objects that exist since
the start (``api.app``), and four tasks cost a request more than its handler does.
"""

from __future__ import annotations

from litestar import Litestar
from litestar.routes import HTTPRoute


def resolve_in_sequence(app: Litestar) -> None:
    """Give every batch of dependencies of the app's handlers one member."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for _, model in route.route_handler_map.values():
            model.dependency_batches = [
                {dependency} for batch in model.dependency_batches for dependency in batch
            ]
