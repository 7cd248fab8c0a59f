"""The environment of the cast: API and chain behind the acts of the script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from demo.api import ApiClient
from demo.chain import Chain, TransactionRefused
from demo.questions import REMARKS, Topic
from demo.script import (
    B_PARAMETER,
    SOL,
    VIRTUAL_LIQUIDITY,
    Act,
    Activate,
    Claim,
    Comment,
    Dispute,
    DisputeVote,
    Holding,
    MarketView,
    Resolve,
    Trade,
    Vote,
    Withdraw,
)
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketAccount, VoteKind
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.voting.ballot import Kind

LOWEST_FUNDS, FUNDS = 20 * SOL, 100 * SOL
NO_ONE: frozenset[str] = frozenset()


class Environment:
    """API and chain as the persons of the cast use them, each with its own wallet."""

    def __init__(self, api: ApiClient, chain: Chain, wallets: Mapping[str, Keypair]) -> None:
        self._api = api
        self._chain = chain
        self._wallets = wallets
        self._names = {bytes(key.pubkey()): name for name, key in wallets.items()}
        self._fee_wallet = Pubkey.default()

    def prepare(self) -> None:
        """Fund the wallets and the fee wallet.

        A trade fails if it leaves an account below its rent-exempt minimum.
        """
        config = self._chain.reader.config("confirmed").value
        self._fee_wallet = Pubkey.from_bytes(config.protocol_fee_wallet)
        self._chain.fund([self._fee_wallet], SOL, SOL)
        self._chain.fund([k.pubkey() for k in self._wallets.values()], LOWEST_FUNDS, FUNDS)

    def propose(self, person: str, topic: Topic) -> tuple[bytes, str]:
        """Submit a question and create its market on chain; return market id and question."""
        creator = self._wallets[person]
        now = datetime.now(UTC)
        self._chain.fund([creator.pubkey()], LOWEST_FUNDS, FUNDS)
        question = topic.ask(now)
        market_id, unsigned = self._api.draft(
            creator,
            {
                "question": question,
                "description": topic.description,
                "category": topic.category,
                "tags": list(topic.tags),
                "end_date": topic.ends_at(now).isoformat(),
                "liquidity": VIRTUAL_LIQUIDITY,
                "b_parameter": B_PARAMETER,
            },
        )
        self._chain.sign_and_send(creator, unsigned)
        return market_id, question

    def state(self, market_id: bytes) -> str | None:
        """Return the market's state according to the API, None while it is unknown."""
        row = self._api.market(market_id)
        return None if row is None else str(row["state"])

    def view(self, market_id: bytes, state: str) -> MarketView:
        """Read everything that the script needs of a market in this state."""
        account = self.account(market_id)
        positions = self._chain.reader.positions(market_id, "confirmed").value
        holdings = {
            self._names[held.user]: Holding(
                held.shares_yes, held.shares_no, held.trades_count, held.has_claimed
            )
            for held in positions
            if held.user in self._names
        }
        voters = self._voters(market_id, "proposal") if state == "PROPOSED" else NO_ONE
        dispute_voters = self._voters(market_id, "dispute") if state == "DISPUTED" else NO_ONE
        comments = self._api.comments(market_id) if state == "ACTIVE" else []
        return MarketView(
            state=state,
            proposal_voters=voters,
            dispute_voters=dispute_voters,
            holdings=holdings,
            comments=len(self._people(bytes(Pubkey.from_string(w)) for w in comments)),
            final_outcome=account.final_outcome,
            withdrawn=account.current_liquidity == 0,
        )

    def account(self, market_id: bytes) -> MarketAccount:
        """Return the market's account at confirmed.

        Raises:
            TransactionRefused: there is none.
        """
        account = self._chain.reader.market(market_id, "confirmed").value
        if account is None:
            raise TransactionRefused("the market is not on chain")
        return account

    def _voters(self, market_id: bytes, kind: Kind) -> frozenset[str]:
        """Return the persons who voted, with a ballot or on chain."""
        chain_kind = VoteKind.PROPOSAL if kind == "proposal" else VoteKind.DISPUTE
        records = self._chain.reader.vote_records(market_id, chain_kind, "confirmed").value
        ballots = self._api.voters(market_id, kind)
        return frozenset(
            self._people(
                [*(bytes(Pubkey.from_string(w)) for w in ballots), *(r.user for r in records)]
            )
        )

    def _people(self, wallets: Iterable[bytes]) -> list[str]:
        return [self._names[wallet] for wallet in wallets if wallet in self._names]

    def perform(self, act: Act, market_id: bytes) -> None:
        """Perform one act and wait until the API accepted it or the chain confirmed it.

        Raises:
            ApiRefused: the API refused it.
            TransactionRefused: the chain refused it.
        """
        signer = self._wallets[act.person]
        market, _ = market_address(self._chain.program, market_id)
        match act:
            case Vote(on_chain=False):
                self._api.vote(signer, market_id, "proposal", act.choice)
            case DisputeVote():
                self._api.vote(signer, market_id, "dispute", act.agree)
            case Comment():
                self._api.comment(signer, market_id, REMARKS[act.words % len(REMARKS)])
            case Claim():
                resolver = Pubkey.from_bytes(self.account(market_id).resolver)
                self._chain.claim(signer, market, resolver)
            case _:
                self._chain.fund([signer.pubkey()], LOWEST_FUNDS, FUNDS)
                self._chain.send(signer, self._instruction(act, signer.pubkey(), market))

    def _instruction(
        self, act: Vote | Activate | Trade | Resolve | Dispute | Withdraw, user: Pubkey, key: Pubkey
    ) -> Instruction:
        program = self._chain.program
        match act:
            case Vote():
                return instructions.submit_proposal_vote(
                    program, user=user, market=key, vote=act.choice
                )
            case Activate():
                return instructions.activate_market(program, authority=user, market=key)
            case Trade():
                return instructions.buy_shares(
                    program,
                    user=user,
                    market=key,
                    protocol_fee_wallet=self._fee_wallet,
                    outcome=act.outcome,
                    target_cost=act.lamports,
                )
            case Resolve():
                evidence = cid_v0(f"{key}: {'YES' if act.outcome else 'NO'}\n".encode())
                return instructions.resolve_market(
                    program,
                    resolver=user,
                    market=key,
                    outcome=act.outcome,
                    evidence_hash=evidence.encode(),
                )
            case Dispute():
                return instructions.initiate_dispute(program, initiator=user, market=key)
            case Withdraw():
                return instructions.withdraw_liquidity(program, creator=user, market=key)
