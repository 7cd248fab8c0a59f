"""The acts, one module each. Every subclass of ``Act`` in a module here is found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from zmart_pipelines.wallet_transactions.act import Act


def _find() -> Mapping[str, type[Act]]:
    found = {}
    for module in iter_modules(__path__):
        members = vars(import_module(f"{__name__}.{module.name}")).values()
        for member in members:
            if isinstance(member, type) and issubclass(member, Act) and "NAME" in vars(member):
                found[member.NAME] = member
    return MappingProxyType(dict(sorted(found.items())))


ACTS = _find()
"""The acts by name."""
