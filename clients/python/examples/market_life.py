"""The life of a market, from its draft to a claim, through the API alone.

Run it while ``make up`` runs:

    python market_life.py

The local chain's faucet funds fresh keys; everything else goes through the API, and the wallets
only sign. The pipelines approve the proposal, decide the dispute and finalize the market.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction
from zmart_client import ApiError, Call, Client, calls, models
from zmart_client.acts import VoteKind

SOL = 1_000_000_000  # lamports
VOTERS = 12
PATIENCE = 240.0  # seconds for what the pipelines do
# The CID of a document about what happened; the example does not publish one.
EVIDENCE = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"


class KeypairWallet:
    """A wallet whose key is in memory; a user's wallet signs the same way."""

    def __init__(self) -> None:
        self._key = Keypair()

    @property
    def address(self) -> str:
        """The address in base58."""
        return str(self._key.pubkey())

    def sign_message(self, message: bytes) -> bytes:
        """Return the signature of a text."""
        return bytes(self._key.sign_message(message))

    def sign_transaction(self, transaction: bytes) -> bytes:
        """Return the transaction with this wallet's signature."""
        unsigned = VersionedTransaction.from_bytes(transaction)
        return bytes(VersionedTransaction(unsigned.message, [self._key]))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fund(rpc_url: str, wallets: list[KeypairWallet], lamports: int) -> None:
    """Have the local chain's faucet pay each wallet, and wait until it holds the money."""
    for wallet in wallets:
        rpc(rpc_url, "requestAirdrop", wallet.address, lamports)
    for wallet in wallets:
        while balance(rpc_url, wallet) < lamports:
            time.sleep(0.2)


def balance(rpc_url: str, wallet: KeypairWallet) -> int:
    """Return the lamports that a wallet holds."""
    answer = rpc(rpc_url, "getBalance", wallet.address, {"commitment": "confirmed"})
    return int(answer["value"])


def rpc(url: str, method: str, *params: object) -> dict[str, int]:
    """Call the chain's node."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    result: dict[str, int] = httpx.post(url, json=body).raise_for_status().json()["result"]
    return result


def act(
    client: Client, wallet: KeypairWallet, prepare: Call[models.PreparedTransaction]
) -> models.PreparedTransaction:
    """Prepare an act, have the wallet sign it, hand it in, and wait until it is confirmed.

    The program counts its periods in seconds of the chain; an act that comes too early is tried
    again.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            prepared = client.send(prepare)
            break
        except ApiError as error:
            if error.code != "period_not_ended" or time.monotonic() > deadline:
                raise
            time.sleep(1)
    landed = client.submit(wallet, prepared.transaction)
    say(f"  {prepared.effects.summary[0]} ({landed.signature})")
    return prepared


def await_state(client: Client, market: str, state: str) -> models.MarketDetail:
    """Wait until the pipelines have brought a market into a state."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = client.send(calls.get_market(market))
        if found.state == state:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"the market is {found.state}, not {state}")
        time.sleep(0.5)


def vote(client: Client, wallets: list[KeypairWallet], kind: VoteKind, market: str) -> None:
    """Have each wallet sign and cast a ballot: like the proposal, or agree with the dispute."""
    for wallet in wallets:
        counted = client.vote(wallet, kind, market, True).counts
    say(f"  {counted.total} ballots: {counted.likes} in favour, {counted.dislikes} against")


def live(client: Client, rpc_url: str) -> int:
    """Take a market through its life; return the lamports that the winner claims."""
    creator, bull, bear = KeypairWallet(), KeypairWallet(), KeypairWallet()
    fund(rpc_url, [creator, bull, bear], 20 * SOL)

    say("The creator signs in")
    client.sign_in(creator)

    say("The creator drafts a question")
    ends = datetime.now(UTC) + timedelta(days=1)
    draft = client.send(
        calls.create_market_draft(
            models.NewMarket(
                question=f"Will it rain in Ghent on {ends:%d %B %Y at %H:%M}?",
                category="other",
                end_date=ends.isoformat(),
                liquidity=SOL // 10,
                b_parameter=100 * SOL,
            )
        )
    )
    market = draft.market_id
    say(f"  {draft.draft.question} ({market})")

    say("The creator creates the market")
    client.submit(creator, draft.transaction)

    say("Wallets vote on the proposal, and the pipelines approve it")
    vote(client, [KeypairWallet() for _ in range(VOTERS)], "proposal", market)
    await_state(client, market, "APPROVED")

    say("The creator activates the market")
    creators = models.PrepareActivate(wallet=creator.address, market_id=market)
    act(client, creator, calls.prepare_activate_transaction(creators))

    say("One wallet buys YES, another NO")
    for wallet, outcome in ((bull, True), (bear, False)):
        budget = models.PrepareBuy(
            wallet=wallet.address, market_id=market, outcome=outcome, max_cost=SOL
        )
        act(client, wallet, calls.prepare_buy_transaction(budget))

    say("The creator proposes NO as the outcome")
    proposed = models.PrepareResolve(
        wallet=creator.address, market_id=market, outcome=False, ipfs_evidence_hash=EVIDENCE
    )
    act(client, creator, calls.prepare_resolve_transaction(proposed))

    say("The holder of YES disputes it")
    disputed = models.PrepareDispute(wallet=bull.address, market_id=market)
    act(client, bull, calls.prepare_dispute_transaction(disputed))

    say("Both holders vote, and the pipelines finalize the market")
    vote(client, [bull, bear], "dispute", market)
    finished = await_state(client, market, "FINALIZED")
    say(f"  the outcome is {'YES' if finished.final_outcome else 'NO'}")

    say("The winner claims")
    claim = models.PrepareClaim(wallet=bull.address, market_id=market)
    claimed = act(client, bull, calls.prepare_claim_transaction(claim)).effects.lamports_in
    client.sign_out()
    return claimed


def main() -> None:
    """Run the example against the addresses of the command line."""
    parser = argparse.ArgumentParser(description="The life of a market, through the API alone.")
    parser.add_argument("--api", default="http://127.0.0.1:4000", help="address of the API")
    parser.add_argument("--rpc", default="http://127.0.0.1:8899", help="the local chain's node")
    options = parser.parse_args()
    with Client(options.api) as client:
        claimed = live(client, options.rpc)
    say(f"claimed {claimed} lamports")


if __name__ == "__main__":
    main()
