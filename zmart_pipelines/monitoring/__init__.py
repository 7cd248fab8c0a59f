"""Whether the system does its work: freshness of each service, open alerts, status."""
