"""Snapshots of discussions: canonical documents, pinned, each naming the one before."""
