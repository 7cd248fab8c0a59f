"""Ballots, tallies and the bundles by which a stranger recounts them."""
