"""Benchmarks: each figure is measured against a rival on the same data in the same run."""
