"""Verification of a wallet's signature of a text, plain or in Solana's off-chain envelope.

Software wallets sign the UTF-8 bytes of a text. Hardware wallets sign it inside an envelope
that begins with ``\\xffsolana offchain``, so that it cannot be a transaction. The text alone is
sent to us; the envelopes that a wallet may have used are made from it and tried in turn:

- version 0 as Ledger's app implemented it first: format, length, text;
- version 0 as documented: application domain (zeros or our program), format, the signer,
  length, text;
- version 1: the signer, text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from solders.pubkey import Pubkey
from solders.signature import Signature

SIGNING_DOMAIN: Final = b"\xffsolana offchain"
# What Ledger's app takes in its largest version, header excluded.
MAX_ENVELOPED: Final = 1212
_NO_DOMAIN: Final = bytes(32)
# Restricted ASCII and UTF-8. Apps differ in which of them a text with line feeds has.
_FORMATS: Final = (b"\x00", b"\x01")


def is_signed_by(
    message: str, signature: bytes, wallet: bytes, program: bytes | None = None
) -> bool:
    """Return whether ``signature`` is the wallet's ed25519 signature of the text.

    Args:
        message: The text, without an envelope. One with lone surrogates has no signature.
        signature: 64 bytes; another length is no signature.
        wallet: 32 bytes; another length is no wallet.
        program: Our program's address, which an envelope may name as its application domain.
    """
    if len(signature) != 64 or len(wallet) != 32:
        return False
    try:
        text = message.encode()
    except UnicodeEncodeError:
        return False
    key, proof = Pubkey(wallet), Signature(signature)
    return proof.verify(key, text) or any(
        proof.verify(key, enveloped) for enveloped in envelopes(text, wallet, program)
    )


def envelopes(text: bytes, wallet: bytes, program: bytes | None = None) -> Iterator[bytes]:
    """Yield the text in each envelope that a wallet may have signed; none if it is too long."""
    if not 0 < len(text) <= MAX_ENVELOPED:
        return
    length = len(text).to_bytes(2, "little")
    domains = (_NO_DOMAIN,) if program is None else (_NO_DOMAIN, program)
    for format_ in _FORMATS if text.isascii() else _FORMATS[1:]:
        yield SIGNING_DOMAIN + b"\x00" + format_ + length + text
        for domain in domains:
            yield SIGNING_DOMAIN + b"\x00" + domain + format_ + b"\x01" + wallet + length + text
    yield SIGNING_DOMAIN + b"\x01\x01" + wallet + text
