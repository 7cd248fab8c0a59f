"""What the on-chain program zmart-core is: layouts, arithmetic and rules. Pure; no I/O.

``zmart_core.json`` is the program's interface in Anchor's present IDL format; every codec
here is made from it at import. The arithmetic is the program's own, in integers.
"""
