"""A local Solana: the real virtual machine (LiteSVM) behind a JSON-RPC node.

``python -m localnet`` starts it. Layers, each knowing only those above it:
``wire`` (transactions), ``accounts`` (versions of accounts), ``vm`` (execution),
``bank`` (slots, blockhashes, commitment), ``history`` (blocks on disk), ``node`` (all of
it, driven by a clock), then the edges ``rpc``, ``websocket``, ``webhook``, ``control``.
"""
