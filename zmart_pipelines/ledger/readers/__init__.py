"""Who brings readings in: deliveries, hints, polls, backfills; and the proof of coverage."""
