"""The demo cast: wallets that propose, vote, trade, resolve, dispute, claim and comment.

They act on the local chain with their own keys and on the API over HTTP, as any user would. The
backend's transactions (aggregate, approve, finalize) they only wait for.
"""
