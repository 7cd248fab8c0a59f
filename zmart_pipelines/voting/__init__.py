"""Ballots, tallies, and the bundles from which anyone can recount them."""
