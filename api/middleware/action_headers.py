"""What every response of Solana Actions carries: any page may call them, and what they support.

These are the headers of the specification, exactly: wallets and sites of others call these routes
from their own pages. The routes know no session, so no page learns or does anything by them that
anyone could not. All other routes are for the pages of ``CORS_ORIGINS``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from api.middleware.cors import HeaderList
from api.solana_actions.cards import PATH
from api.solana_actions.specified import VERSION

RULES_PATH: Final = "/actions.json"
_BELOW: Final = f"{PATH}/"

_CORS: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET,POST,PUT,OPTIONS"),
    (
        b"access-control-allow-headers",
        (
            b"Content-Type, Authorization, Content-Encoding, Accept-Encoding,"
            b" X-Accept-Action-Version, X-Accept-Blockchain-Ids"
        ),
    ),
    (b"access-control-expose-headers", b"X-Action-Version, X-Blockchain-Ids"),
)
# By CAIP-2: the first 32 characters of the hash of the genesis block.
_GENESIS: Final = MappingProxyType(
    {
        "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
        "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z",
    }
)


def is_action(path: str) -> bool:
    """Return whether a path is one of Solana Actions."""
    return path == RULES_PATH or path.startswith(_BELOW)


def action_headers(cluster: str) -> HeaderList:
    """Return the headers; a cluster of one's own is identified by its name."""
    chain = f"solana:{_GENESIS.get(cluster, cluster)}"
    return [
        *_CORS,
        (b"x-action-version", VERSION.encode()),
        (b"x-blockchain-ids", chain.encode()),
    ]
