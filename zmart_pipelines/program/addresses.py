"""Program-derived addresses of the four account types, with their bumps.

Every function returns ``(address, bump)`` as ``find_program_address`` derives them; the program
stores that bump in the account.
"""

from __future__ import annotations

from functools import lru_cache

from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import VoteKind

MARKET_ID_LENGTH = 32


@lru_cache(maxsize=16)
def config_address(program: Pubkey) -> tuple[Pubkey, int]:
    """Return the address of a program's GlobalConfig; its seed has a hyphen."""
    return Pubkey.find_program_address([b"global-config"], program)


def market_address(program: Pubkey, market_id: bytes) -> tuple[Pubkey, int]:
    """Return the address of the market with this 32-byte id.

    Raises:
        ValueError: the id has another length.
    """
    if len(market_id) != MARKET_ID_LENGTH:
        raise ValueError(f"market_id: has {len(market_id)} bytes, must have {MARKET_ID_LENGTH}")
    return Pubkey.find_program_address([b"market", market_id], program)


def position_address(program: Pubkey, market: Pubkey, user: Pubkey) -> tuple[Pubkey, int]:
    """Return the address of a user's position; ``market`` is the address, not the id."""
    return Pubkey.find_program_address([b"position", bytes(market), bytes(user)], program)


def vote_address(
    program: Pubkey, market: Pubkey, user: Pubkey, kind: VoteKind
) -> tuple[Pubkey, int]:
    """Return the address of a user's on-chain vote of one kind on a market (by address)."""
    seeds = [b"vote", bytes(market), bytes(user), bytes([VoteKind(kind)])]
    return Pubkey.find_program_address(seeds, program)
