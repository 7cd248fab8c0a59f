"""The backend's signing keys and the messages they may sign.

A KeypairSigner signs a message only if it is a transaction with exactly one of the five
instructions that the backend submits. The secret never leaves the object: not in ``repr``, not
in exceptions, not by pickling.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NoReturn, Protocol

import msgspec
from solders.keypair import Keypair
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import SanitizeError

from zmart_pipelines import base58
from zmart_pipelines.program.calls import decode_instruction, encode_call
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.ids import COMPUTE_BUDGET, MEMO_PROGRAM, SYSTEM_PROGRAM

SIGNABLE: Final = frozenset(
    {
        "aggregate_proposal_votes",
        "finalize_market",
        "approve_proposal",
        "activate_market",
        "resolve_market",
    }
)
# System instruction AdvanceNonceAccount, as a little-endian u32.
_ADVANCE_NONCE: Final = (4).to_bytes(4, "little")


class SigningRefused(Exception):
    """The key may not sign the message; the text says why."""


class KeyFileError(Exception):
    """The key cannot be used; the text names the source and the remedy, never the key."""


class Signer(Protocol):
    """A signer, in this process or in a key service."""

    def pubkey(self) -> Pubkey:
        """Return the address it signs for."""

    def sign(self, message: bytes) -> Signature:
        """Return the signature of a serialized message, or raise SigningRefused."""


def guard(
    message: bytes, program: Pubkey, signer: Pubkey, actions: Iterable[str] = SIGNABLE
) -> str:
    """Return the name of the message's action, if the message is allowed.

    A message is allowed if its only signer and fee payer is ``signer``, it has no lookup
    tables, exactly one instruction of ``program``, which is one of ``actions``, and otherwise
    only instructions of ComputeBudget and Memo.

    Raises:
        SigningRefused: the message is not allowed.
    """
    parsed = _parse(message)
    if parsed.address_table_lookups:
        raise SigningRefused("lookup tables are not allowed")
    keys = parsed.account_keys
    if keys[0] != signer:
        raise SigningRefused(f"the fee payer is {keys[0]}, not {signer}")
    if parsed.header.num_required_signatures != 1:
        raise SigningRefused("additional signers are not allowed")
    found: list[str] = []
    for instruction in parsed.instructions:
        target, data = keys[instruction.program_id_index], bytes(instruction.data)
        if target == program:
            found.append(_action(data))
        elif target == SYSTEM_PROGRAM and data.startswith(_ADVANCE_NONCE):
            raise SigningRefused("durable nonces are not allowed")
        elif target not in (COMPUTE_BUDGET, MEMO_PROGRAM):
            raise SigningRefused(f"instructions of {target} are not allowed")
    if len(found) != 1:
        raise SigningRefused(f"{len(found)} instructions of the program, there must be one")
    if found[0] not in actions:
        raise SigningRefused(f"{found[0]} is not allowed")
    return found[0]


def _parse(message: bytes) -> MessageV0:
    try:
        parsed = from_bytes_versioned(message)
    except ValueError:
        raise SigningRefused("not a transaction message") from None
    if not isinstance(parsed, MessageV0):
        raise SigningRefused("not a version-0 message")
    if to_bytes_versioned(parsed) != message:
        raise SigningRefused("trailing bytes after the message")
    try:
        parsed.sanitize()
    except SanitizeError as error:
        raise SigningRefused(f"not a valid message: {error}") from None
    return parsed


def _action(data: bytes) -> str:
    try:
        call = decode_instruction(data)
    except DecodeError:
        raise SigningRefused("unknown instruction of the program") from None
    if encode_call(call) != data:
        raise SigningRefused(f"{call.name} has trailing bytes after its arguments")
    return call.name


class KeypairSigner:
    """A key in this process that signs only messages allowed by ``guard``."""

    __slots__ = ("_actions", "_keypair", "_program")

    def __init__(
        self, keypair: Keypair, program: Pubkey, actions: Iterable[str] = SIGNABLE
    ) -> None:
        self._keypair = keypair
        self._program = program
        self._actions = frozenset(actions)
        if not self._actions <= SIGNABLE:
            raise ValueError(f"not signable: {', '.join(sorted(self._actions - SIGNABLE))}")

    @classmethod
    def from_file(
        cls, path: Path, program: Pubkey, actions: Iterable[str] = SIGNABLE
    ) -> KeypairSigner:
        """Load a key from a JSON file of 64 numbers, as the Solana tools write it.

        Raises:
            KeyFileError: the file is missing, readable by others than its owner, or holds no
                key.
        """
        return cls(read_keypair(path), program, actions)

    @classmethod
    def from_base58(
        cls, secret: str, program: Pubkey, actions: Iterable[str] = SIGNABLE
    ) -> KeypairSigner:
        """Load a key from base58 (64 bytes), or raise KeyFileError."""
        try:
            # solders' own base58 decoder panics on some texts; a panic is not an Exception.
            keypair = Keypair.from_bytes(base58.decode(secret.strip()))
        except ValueError:
            raise KeyFileError(
                "the private key is not 64 bytes in base58; export it again"
            ) from None
        return cls(keypair, program, actions)

    def pubkey(self) -> Pubkey:
        """Return the address it signs for."""
        return self._keypair.pubkey()

    def sign(self, message: bytes) -> Signature:
        """Return the signature of an allowed message, or raise SigningRefused."""
        guard(message, self._program, self.pubkey(), self._actions)
        return self._keypair.sign_message(message)

    def __repr__(self) -> str:
        return f"KeypairSigner({self.pubkey()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be serialized")


def read_keypair(path: Path) -> Keypair:
    """Return the keypair of a JSON key file that only its owner can read.

    Raises:
        KeyFileError: others can read the file, or it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise KeyFileError(
                    f"{path}: mode {mode:04o} lets other users read the key; run: chmod 600 {path}"
                )
            content = file.read(4096)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        numbers = msgspec.json.decode(content, type=list[int])
        return Keypair.from_bytes(bytes(numbers))
    except (ValueError, msgspec.MsgspecError):
        raise KeyFileError(
            f"{path}: not a key file, which is a JSON list of 64 numbers; "
            "solana-keygen new writes one"
        ) from None
