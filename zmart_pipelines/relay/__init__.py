"""Relay of transactions that wallets have signed: checked, stored, then sent to their end."""
