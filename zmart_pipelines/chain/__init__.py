"""How one talks to Solana: RPC, raw transactions, their logs, and signing."""
