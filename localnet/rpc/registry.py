"""The registry of RPC methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from localnet.rpc.params import Params

Handler: TypeAlias = Callable[[Params], Any]

METHODS: dict[str, Handler] = {}


def method(name: str) -> Callable[[Handler], Handler]:
    """Register a handler under the name of its method."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = handler
        return handler

    return register
