"""The one way into the ledger: store readings, update the projection, append frames."""
