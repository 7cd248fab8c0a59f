"""The cast: wallets that propose, vote, trade, resolve, dispute, claim and talk.

They act on the local chain with keys of their own and on the API over HTTP, as any user
would. What the backend owes (aggregate, approve, finalize) they only wait for.
"""
