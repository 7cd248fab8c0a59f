"""CIDv0 of one block, computed locally, so that no service has to be trusted.

The bytes become one UnixFS file node with inline data, wrapped in dag-pb; the CID is the base58
text of its sha2-256 multihash (specs.ipfs.tech, "UnixFS" and "DAG-PB"). This is the result of
``ipfs add --cid-version=0`` for files of at most one chunk.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from zmart_pipelines import base58

# One chunk of the default chunker; larger files become trees, which are not used here.
MAX_BLOCK = 262_144

_MULTIHASH_SHA256 = b"\x12\x20"
_LENGTH = 46
# The first bytes of a CIDv1 of a dag-pb node: version, codec.
_V1_DAG_PB = b"\x01\x70"


def cid_v0(data: bytes) -> str:
    """Return the CIDv0 (46 characters) of ``data``.

    Raises:
        ValueError: ``data`` has more than :data:`MAX_BLOCK` bytes.
    """
    if len(data) > MAX_BLOCK:
        raise ValueError(
            f"{len(data)} bytes do not fit one block of {MAX_BLOCK}; split the document"
        )
    return base58.encode(_MULTIHASH_SHA256 + hashlib.sha256(_file_node(data)).digest())


def is_cid_v0(text: str) -> bool:
    """Return whether ``text`` is a CIDv0: 46 base58 characters of a sha2-256 multihash."""
    if len(text) != _LENGTH:
        return False
    try:
        multihash = base58.decode(text)
    except base58.Base58Error:
        return False
    return len(multihash) == 34 and multihash.startswith(_MULTIHASH_SHA256)


def content_of(body: bytes, cid: str) -> bytes | None:
    """Return the content of ``cid`` from the file itself or from its block; None from others.

    Gateways send either, and both are proven by the CID.
    """
    if len(body) <= MAX_BLOCK and cid_v0(body) == cid:
        return body
    if base58.encode(_MULTIHASH_SHA256 + hashlib.sha256(body).digest()) != cid:
        return None
    content = _field(_field(body, b"\x0a")[2:], b"\x12")
    return content if len(content) <= MAX_BLOCK and _file_node(content) == body else None


def names_block(text: str, cid: str) -> bool:
    """Return whether ``text`` is the CIDv0 ``cid``, or its form as a CIDv1.

    Both name the same dag-pb block. A CIDv1 with another codec names another one.
    """
    return text == cid or _decoded_multibase(text) == _V1_DAG_PB + base58.decode(cid)


def _decoded_multibase(text: str) -> bytes | None:
    """Return the bytes of a text with a multibase prefix; None where it is none."""
    prefix, digits = text[:1], text[1:]
    try:
        match prefix:
            case "b":  # base32
                return base64.b32decode(digits.upper() + "=" * (-len(digits) % 8))
            case "z":  # base58
                return base58.decode(digits)
            case "f":  # base16
                return bytes.fromhex(digits)
    except (ValueError, binascii.Error):
        return None
    return None


def _file_node(data: bytes) -> bytes:
    # UnixFS message: Type = File (field 1), Data (2, absent when empty), filesize (3).
    unixfs = b"\x08\x02"
    if data:
        unixfs += b"\x12" + _varint(len(data)) + data
    unixfs += b"\x18" + _varint(len(data))
    # dag-pb node: no links, Data is field 1.
    return b"\x0a" + _varint(len(unixfs)) + unixfs


def _field(message: bytes, tag: bytes) -> bytes:
    """Return the content of a message's first field; empty if it has another tag.

    A length that does not fit the message gives a content that the caller's comparison refuses.
    """
    if not message.startswith(tag):
        return b""
    length = shift = 0
    for at, byte in enumerate(message[1:6], 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte <= 0x7F:
            return message[at : at + length]
    return b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
