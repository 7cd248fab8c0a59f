"""Submissions: intents and signed attempts, from the plan to the finalized transaction."""
