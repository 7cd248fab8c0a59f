"""The one way into the ledger: store readings, project them, append frames."""
