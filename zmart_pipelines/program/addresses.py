"""Program-derived addresses of the four account types, with their bumps.

Every function returns ``(address, bump)`` as ``find_program_address`` finds it; the
program stores that bump in the account.
"""

from __future__ import annotations

from functools import lru_cache

from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import VoteKind

MARKET_ID_LENGTH = 32


@lru_cache(maxsize=16)
def config_address(program: Pubkey) -> tuple[Pubkey, int]:
    """The GlobalConfig of a program; the seed has a hyphen."""
    return Pubkey.find_program_address([b"global-config"], program)


def market_address(program: Pubkey, market_id: bytes) -> tuple[Pubkey, int]:
    """The account of the market with this 32-byte id; other lengths are a ValueError."""
    if len(market_id) != MARKET_ID_LENGTH:
        raise ValueError(f"market_id: {len(market_id)} bytes, must be {MARKET_ID_LENGTH}")
    return Pubkey.find_program_address([b"market", market_id], program)


def position_address(program: Pubkey, market: Pubkey, user: Pubkey) -> tuple[Pubkey, int]:
    """What a user holds in a market; ``market`` is the account's address, not its id."""
    return Pubkey.find_program_address([b"position", bytes(market), bytes(user)], program)


def vote_address(
    program: Pubkey, market: Pubkey, user: Pubkey, kind: VoteKind
) -> tuple[Pubkey, int]:
    """The record of a user's one on-chain vote of a kind on a market (by address)."""
    seeds = [b"vote", bytes(market), bytes(user), bytes([VoteKind(kind)])]
    return Pubkey.find_program_address(seeds, program)
