"""What answers about markets are made of: lookups, states of the past, quotes, comparisons."""
