"""Who sends a request, and what its signature or key permits."""
