"""Solana Actions: what a link to a market lets a wallet do, in the members of the specification.

``@solana/actions-spec`` on npm is the specification. Wallets that know it show a market's link as
a card with buttons, each of which is an act of ``zmart_pipelines.wallet_transactions``.
"""
