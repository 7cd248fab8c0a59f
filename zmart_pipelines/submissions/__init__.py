"""What the backend owes the chain, sent exactly once in effect."""
