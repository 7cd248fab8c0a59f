"""Statistics with pandas: candles, the trading of markets, the results of wallets.

The pure functions accept and return DataFrames (see ``frames``); ``refresh``
reads the ledger's projection and writes the tables. Importing these modules loads pandas, which
takes a second: import them where they are used. ``candle_series`` and ``candle_pages``, which read
what was written, work without it.
"""
