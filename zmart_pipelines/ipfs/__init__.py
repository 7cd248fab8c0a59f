"""Content addressing: canonical bytes, their CIDv0, and the stores that pin them."""

from zmart_pipelines.ipfs.canonical import NotCanonical, canonical_bytes, parse_canonical
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0, is_cid_v0
from zmart_pipelines.ipfs.pins import LocalPinStore, PinError, PinNotFound, PinStore
from zmart_pipelines.ipfs.stores import pin_store

__all__ = [
    "MAX_BLOCK",
    "LocalPinStore",
    "NotCanonical",
    "PinError",
    "PinNotFound",
    "PinStore",
    "canonical_bytes",
    "cid_v0",
    "is_cid_v0",
    "parse_canonical",
    "pin_store",
]
