"""The wallets of the cast, created once and kept in the state folder, private to its owner."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from solders.keypair import Keypair


def load_wallets(path: Path, people: Iterable[str]) -> dict[str, Keypair]:
    """Return the wallet of each person from the file, or create the file (mode 0600)."""
    if path.exists():
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, list[int]])
        return {name: Keypair.from_bytes(bytes(numbers)) for name, numbers in stored.items()}
    wallets = {name: Keypair() for name in people}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode({name: list(bytes(key)) for name, key in wallets.items()}))
    partial.replace(path)
    return wallets
