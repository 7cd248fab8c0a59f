"""Access to Solana: RPC, raw transactions, program logs, building and signing."""
