"""Connections: how many a client may have, what they may send, whose they are."""
