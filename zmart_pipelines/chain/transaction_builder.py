"""Building of version-0 transactions: compile, sign, serialize."""

from __future__ import annotations

from collections.abc import Sequence

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from zmart_pipelines.chain.signer import Signer

# The size of a packet; the network drops longer transactions.
MAX_TRANSACTION_BYTES = 1232


class BuildError(ValueError):
    """The transaction cannot be built: a signer is missing or it is too long."""


def build_transaction(
    payer: Pubkey,
    instructions: Sequence[Instruction],
    blockhash: Hash,
    signers: Sequence[Signer | Keypair],
) -> bytes:
    """Return the signed transaction's bytes. The payer must be among the signers.

    Raises:
        BuildError: a signer is missing, or the transaction is too long.
        SigningRefused: a guarded signer does not sign this message.
    """
    message = _compile(payer, instructions, blockhash)
    signed = to_bytes_versioned(message)
    by_key = {signer.pubkey(): signer for signer in signers}
    signatures = []
    for key in message.account_keys[: message.header.num_required_signatures]:
        signer = by_key.get(key)
        if signer is None:
            raise BuildError(f"the signature of {key} is required but there is no signer for it")
        if isinstance(signer, Keypair):
            signatures.append(signer.sign_message(signed))
        else:
            signatures.append(signer.sign(signed))
    return _checked(VersionedTransaction.populate(message, signatures))


def unsigned_transaction(
    payer: Pubkey, instructions: Sequence[Instruction], blockhash: Hash
) -> bytes:
    """Return the transaction with empty signatures, for a wallet to sign and send."""
    message = _compile(payer, instructions, blockhash)
    empty = [Signature.default()] * message.header.num_required_signatures
    return _checked(VersionedTransaction.populate(message, empty))


def signature_of(transaction: bytes) -> bytes:
    """Return the signature that identifies a serialized transaction, sent or not."""
    return bytes(VersionedTransaction.from_bytes(transaction).signatures[0])


def _compile(payer: Pubkey, instructions: Sequence[Instruction], blockhash: Hash) -> MessageV0:
    return MessageV0.try_compile(payer, list(instructions), [], blockhash)


def _checked(transaction: VersionedTransaction) -> bytes:
    data = bytes(transaction)
    if len(data) > MAX_TRANSACTION_BYTES:
        raise BuildError(
            f"the transaction has {len(data)} bytes, more than {MAX_TRANSACTION_BYTES}"
        )
    return data
