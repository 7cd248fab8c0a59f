"""Readers of deliveries, hints, polls and backfills, which ingest what they read; coverage."""
