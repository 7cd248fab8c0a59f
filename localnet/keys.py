"""The four wallets of the chain, as the key files that Solana's tools read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
from solders.keypair import Keypair

ROLES: Final = ("admin", "backend", "fee", "faucet")


def write_keys(folder: Path, seed: int | None) -> dict[str, Keypair]:
    """Make the wallets of a new chain: from the seed, or random without one."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    keys = {}
    for role in ROLES:
        keypair = Keypair() if seed is None else _seeded(seed, role)
        descriptor = os.open(_file(folder, role), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(list(bytes(keypair))))
        keys[role] = keypair
    return keys


def read_keys(folder: Path) -> dict[str, Keypair]:
    """The wallets of an existing chain."""
    return {
        role: Keypair.from_bytes(
            bytes(msgspec.json.decode(_file(folder, role).read_bytes(), type=list[int]))
        )
        for role in ROLES
    }


def _seeded(seed: int, role: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(f"zmart localnet {seed} {role}".encode()).digest())


def _file(folder: Path, role: str) -> Path:
    return folder / f"{role}.json"
