"""Token buckets that are exact across processes."""
