"""The texts that wallets sign, and the verification of their signatures. Pure."""
