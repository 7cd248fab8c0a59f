"""SQL statements that read and write the ledger's tables and its projection."""
