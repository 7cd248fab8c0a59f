"""The chain's four wallets, stored as key files that Solana's tools read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from solders.keypair import Keypair

ROLES: Final = ("admin", "backend", "fee", "faucet")


def make_keys(seed: int | None) -> dict[str, Keypair]:
    """Create the wallets of a new chain, from the seed or at random."""
    return {role: Keypair() if seed is None else _seeded(seed, role) for role in ROLES}


def pack_keys(keys: Mapping[str, Keypair]) -> bytes:
    """Serialize the wallets."""
    return msgspec.json.encode({role: list(bytes(keypair)) for role, keypair in keys.items()})


def unpack_keys(packed: bytes) -> dict[str, Keypair]:
    """Deserialize wallets that ``pack_keys`` serialized."""
    numbers = msgspec.json.decode(packed, type=dict[str, list[int]])
    return {role: Keypair.from_bytes(bytes(key)) for role, key in numbers.items()}


def write_keys(folder: Path, keys: Mapping[str, Keypair]) -> None:
    """Write the key files, readable only by their owner."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for role, keypair in keys.items():
        file = folder / f"{role}.json"
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(msgspec.json.encode(list(bytes(keypair))))


def read_keys(folder: Path) -> dict[str, Keypair]:
    """Read the wallets from the key files in a folder."""
    return {
        role: Keypair.from_bytes(
            bytes(msgspec.json.decode((folder / f"{role}.json").read_bytes(), type=list[int]))
        )
        for role in ROLES
    }


def _seeded(seed: int, role: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(f"zmart localnet {seed} {role}".encode()).digest())
