"""Statistics with pandas: candles, the trading of markets, the results of wallets.

The pure functions accept and return DataFrames (see ``frames``); ``refresh``
reads the ledger's projection and writes the tables. Importing this package's modules loads
pandas, which takes a second: import them where they are used.
"""
