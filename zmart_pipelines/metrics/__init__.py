"""Metrics for Prometheus: the listener of every process, and the exporter of business figures."""
