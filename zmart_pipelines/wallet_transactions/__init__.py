"""What wallets can do on chain: each act's arguments, instruction, refusals and effects.

Pure; no I/O. An act is one module in ``acts``. Everything is computed from a view of the chain
(``chain_view``), so that the API, Solana Actions and tests describe an act alike.
"""
