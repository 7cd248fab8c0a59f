"""Content addressing: canonical JSON, CIDv0, and the stores that pin blocks."""
