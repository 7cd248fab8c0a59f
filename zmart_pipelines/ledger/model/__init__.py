"""What the ledger's records mean: decoding, folding and comparison. Pure; no I/O."""
