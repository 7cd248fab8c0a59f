"""Readers that bring readings in: deliveries, hints, polls, backfills; and coverage."""
