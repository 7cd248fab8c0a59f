"""Sensors: they read tables or the chain every few seconds and start work when there is some."""
