"""Which addresses are counted as one client."""

from __future__ import annotations

import ipaddress


def address_group(address: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 one: a client has all of it.

    What is no IP address (a socket's name) stays as it is.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
