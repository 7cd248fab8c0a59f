"""Solana's JSON-RPC: one module per group of methods; ``dispatch`` is the entry point."""
