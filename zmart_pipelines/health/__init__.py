"""Health: what is owed and since when, how far the ledger is behind, and the alerts of that."""
