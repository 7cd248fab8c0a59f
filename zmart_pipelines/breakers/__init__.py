"""Circuit breakers: repeated failures open a circuit for a pause, then a probe is let through."""
