"""Which methods a path has, for ``OPTIONS``.

Litestar's own answer names the methods of the handler that was registered first on the path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from litestar.routes import HTTPRoute

_PARAMETER: Final = re.compile(r"\{[^}]*\}")


def allowed_methods(routes: Iterable[HTTPRoute]) -> Mapping[str, bytes]:
    """Return the value of ``Allow`` by path shape; HEAD is allowed wherever GET is."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for route in routes:
        found[path_shape(route.path_format)].update(route.methods)
    return {
        shape: ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()))).encode()
        for shape, methods in found.items()
    }


def path_shape(template: str) -> str:
    """Return a path template without the names of its parameters: handlers differ in them."""
    return _PARAMETER.sub("{}", template)
