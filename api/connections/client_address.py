"""Who counts as one client: its address, whether it comes directly or through a trusted proxy.

uvicorn puts the address into the scope: the connection's, or, where that belongs to
``TRUSTED_PROXIES``, the last one in ``X-Forwarded-For`` that no trusted proxy has. Limits of
requests, connections and sockets, and the log, name a client by the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Network, ip_address
from typing import Any, Final

UNKNOWN: Final = "unknown"


@lru_cache(maxsize=16_384)
def address_key(host: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 network of an IPv6 address.

    A client has all addresses of such a network. Whatever is no IP address is one client together,
    so that a proxy that passes on what clients made up gives none of them a limit of its own.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))


def client_key(scope: Mapping[str, Any]) -> str:
    """Return what counts as the client of an ASGI scope."""
    client = scope.get("client")
    return address_key(client[0]) if client else UNKNOWN
