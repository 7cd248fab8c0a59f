"""Whether ledger and projection are right: reconcile, repair, rebuild, redecode."""
