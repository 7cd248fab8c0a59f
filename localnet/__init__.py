"""A local Solana: the real virtual machine (LiteSVM) behind a JSON-RPC node.

``python -m localnet`` starts it. Layers, each depending only on those before it:
``wire_transaction``, ``accounts`` (versions of accounts), ``vm`` (execution), ``bank`` (slots,
blockhashes, commitment), ``history`` (blocks on disk), ``node`` (all of these, driven by a
clock), then the interfaces ``rpc``, ``websocket``, ``webhook`` and ``control_api``.
"""
