"""The ledger: what the chain said, exactly once, and the projection folded from it."""
