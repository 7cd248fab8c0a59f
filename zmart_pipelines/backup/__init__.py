"""Backups of the database: taken, verified, kept for a while, restored."""
