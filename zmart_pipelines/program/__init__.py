"""The on-chain program zmart-core: layouts, arithmetic and rules. Pure; no I/O.

``zmart_core.json`` is the program's interface in Anchor's current IDL format; every codec in
this package is built from it at import. The arithmetic is the program's own, in integers.
"""
