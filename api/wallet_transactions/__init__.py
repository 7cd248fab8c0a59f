"""Acts of wallets over HTTP: bodies, answers, refusals. What they are: zmart_pipelines' package."""
