"""The code of a program on chain: when it was deployed, and its hash."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.program.ids import UPGRADEABLE_LOADER

# The program's account holds its tag (u32) and the address of the account with the code, which
# starts with its tag (u32), the slot of the deployment (u64), and an optional authority.
_PROGRAM: Final = struct.Struct("<I32s")
_PROGRAM_TAG: Final = 2
_CODE: Final = struct.Struct("<IQ")
_CODE_TAG: Final = 3
CODE_OFFSET: Final = 45


class ProgramCode(msgspec.Struct, frozen=True):
    """A program's code.

    Attributes:
        deployed_slot: Slot of its deployment; 0 where its loader records none.
        code_hash: SHA-256 of the shared object without zeros at its end, as
            ``solana-verify get-program-hash`` prints it.
    """

    deployed_slot: int
    code_hash: bytes


def read_program_code(
    rpc: RpcClient, program: Pubkey, known: Mapping[int, bytes]
) -> ProgramCode | None:
    """Return the program's finalized code; None where there is no such program.

    Args:
        rpc: The node.
        program: Address of the program.
        known: Hashes of code that was read before by the slot of its deployment, which is not
            read again: it is large.

    Raises:
        RpcUnavailable, RpcError, RateLimited: The chain cannot be read.
    """
    account = rpc.account(program, "finalized").value
    if account is None or not account.executable:
        return None
    if account.owner != UPGRADEABLE_LOADER:
        return ProgramCode(0, code_hash(account.data))
    _, address = _PROGRAM.unpack(_checked(account.data, _PROGRAM.size, _PROGRAM_TAG))
    holder = Pubkey(address)
    head = rpc.account(holder, "finalized", first_bytes=CODE_OFFSET).value
    if head is None:
        return None
    slot = _deployed_slot(head.data)
    if slot in known:
        return ProgramCode(slot, known[slot])
    whole = rpc.account(holder, "finalized").value
    if whole is None:
        return None
    return ProgramCode(_deployed_slot(whole.data), code_hash(whole.data[CODE_OFFSET:]))


def code_hash(code: bytes) -> bytes:
    """Return the hash of a shared object; the zeros that fill up its account do not count."""
    return hashlib.sha256(code.rstrip(b"\0")).digest()


def _deployed_slot(data: bytes) -> int:
    slot: int = _CODE.unpack(_checked(data, _CODE.size, _CODE_TAG))[1]
    return slot


def _checked(data: bytes, size: int, tag: int) -> bytes:
    """Return the first bytes of an account of the loader.

    Raises:
        RpcUnavailable: It is too short, or of another kind.
    """
    if len(data) < size or data[:4] != tag.to_bytes(4, "little"):
        raise RpcUnavailable("unexpected result: an account of the loader has another layout")
    return data[:size]
