"""Solana's JSON-RPC: one module for each group of methods, ``dispatch`` in front."""
