"""From chain accounts and ballots to intents: what must become true on chain."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from functools import cached_property

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc_types import AtSlot
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import PinError, PinStore
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.program.accounts import MarketAccount, MarketState, VoteRecord
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import actions, candidates, intents, policies
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.market_reads import read_markets
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.voting import bundle, tallies
from zmart_pipelines.voting.ballot import Kind
from zmart_pipelines.voting.tallies import FrozenTally, Tally

_VOTE_OF: dict[MarketState, Kind] = {
    MarketState.PROPOSED: "proposal",
    MarketState.DISPUTED: "dispute",
}


def plan(
    engine: Engine,
    reader: AccountReader,
    settings: Settings,
    *,
    pins: PinStore | None = None,
) -> list[Intent]:
    """Decides for every market that may be due and returns the intents created now.

    Reads markets, configuration, clock and vote records at finalized; freezes tallies, pins
    their bundles, writes the intents, raises and clears alerts. Safe to repeat and to run
    twice at once: an intent is unique per market, action and round. Raises what RpcClient
    raises, and PinError where a bundle could not be pinned; what was planned before that
    stays, the next call goes on.
    """
    planner = _Planner(engine, reader, settings, pins or configured_pin_store(settings))
    return planner.run()


class _DecisionChanged(Exception):
    """The ballots that came in before the freeze changed the decision; nothing is frozen."""


class _Planner:
    """One look at all candidates, as of one finalized clock."""

    def __init__(
        self, engine: Engine, reader: AccountReader, settings: Settings, pins: PinStore
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._settings = settings
        self._pins = pins
        # The clock first: an account read at its slot or later holds every dispute that
        # came before it.
        self._clock = reader.rpc.chain_clock("finalized")
        self._config = reader.config("finalized", self._clock.slot).value
        self._rules = policies.rules(settings)

    def run(self) -> list[Intent]:
        """The intents created."""
        times = candidates.voting_periods(self._settings, self._config.dispute_period)
        with self._engine.begin() as conn:
            found = candidates.to_look_at(
                conn, self._settings, chain_time=self._clock.unix_timestamp, times=times
            )
        seen = read_markets(self._reader.rpc, self._reader.program, found, self._clock.slot)
        markets = {one: at.account for one, at in seen.items() if at.account is not None}
        counts = self._counts(markets.values())
        with self._engine.connect() as conn:
            known = candidates.off_chain_facts(conn, list(markets.values()))
        alerts = {
            AlertKey("market_unreadable", market_id): policies.Alert(
                "market_unreadable", "high", f"its account cannot be read: {at.fault}"
            )
            for market_id, at in seen.items()
            if at.fault is not None
        }
        created: list[Intent] = []
        for market_id, market in markets.items():
            decision = self._decide(market, counts.get(market_id), known[market_id])
            try:
                created += self._execute(market, decision, counts.get(market_id))
            except PinError as error:
                decision = policies.Alert("bundle_not_pinned", "high", str(error))
            except _DecisionChanged:
                continue
            if isinstance(decision, policies.Alert):
                alerts[AlertKey(decision.topic, market_id)] = decision
        self._update_alerts(alerts)
        return created

    def _counts(self, markets: Iterable[MarketAccount]) -> dict[bytes, Tally]:
        """The tally of the vote that each market's state asks for."""
        counts: dict[bytes, Tally] = {}
        with self._engine.connect() as conn:
            for state, kind in _VOTE_OF.items():
                voting = [market.market_id for market in markets if market.state == state]
                if voting:
                    counts |= tallies.current_tallies(conn, voting, kind)
        return counts

    def _decide(
        self,
        market: MarketAccount,
        tally: Tally | None,
        known: policies.OffChainFacts | None = None,
    ) -> policies.Decision:
        count = policies.Count(0, 0)
        if tally is not None:
            count = policies.Count(
                tally.votes_for,
                tally.votes_against,
                frozen=tally.status == "frozen",
                round=tally.round,
                ballots=tally.ballots,
            )
        return policies.decide(
            market,
            self._config,
            self._clock.unix_timestamp,
            count,
            self._rules,
            known or policies.OffChainFacts(),
        )

    def _execute(
        self, market: MarketAccount, decision: policies.Decision, tally: Tally | None
    ) -> list[Intent]:
        match decision:
            case policies.Aggregate() if tally is not None:
                return self._aggregate(market, self._freeze_and_pin(market, tally))
            case policies.Approve() if tally is not None:
                with self._engine.begin() as conn:
                    return _created(_approval(conn, tally))
            case policies.Activate():
                return self._create_intent(market, "activate_market")
            case policies.Finalize(disputed=True) if tally is not None:
                return self._finalize(market, self._freeze_and_pin(market, tally))
            case policies.Finalize(disputed=False):
                return self._create_intent(market, "finalize_market")
        return []

    def _create_intent(self, market: MarketAccount, action: Action) -> list[Intent]:
        """An intent that needs nothing but its market."""
        with self._engine.begin() as conn:
            return _created(
                intents.create(
                    conn,
                    market_id=market.market_id,
                    action=action,
                    round_number=0,
                    arguments={},
                )
            )

    def _aggregate(self, market: MarketAccount, tally: Tally) -> list[Intent]:
        with self._engine.begin() as conn:
            aggregation = intents.create(
                conn,
                market_id=market.market_id,
                action="aggregate_proposal_votes",
                round_number=tally.round,
                arguments={"likes": tally.votes_for, "dislikes": tally.votes_against},
                bundle_cid=tally.bundle_cid,
            )
            if aggregation is None or not self._rules.can_approve:
                return _created(aggregation)
            return _created(aggregation, _approval(conn, tally))

    def _finalize(self, market: MarketAccount, tally: Tally) -> list[Intent]:
        with self._engine.begin() as conn:
            return _created(
                intents.create(
                    conn,
                    market_id=market.market_id,
                    action="finalize_market",
                    round_number=candidates.finalize_round(tally.round),
                    arguments={"agree": tally.votes_for, "disagree": tally.votes_against},
                    bundle_cid=tally.bundle_cid,
                )
            )

    def _freeze_and_pin(self, market: MarketAccount, tally: Tally) -> Tally:
        """The tally frozen and its bundle pinned and recorded, whatever of it was done before."""
        if tally.status == "frozen" and tally.bundle_cid is not None:
            return tally
        frozen = self._freeze(market, tally)
        made = bundle.make(frozen, network=self._network, rules=self._rule_values(frozen.tally))
        for cid, block in made.blocks.items():
            if self._pins.pin(block) != cid:
                raise PinError(f"the pin store gave {cid} another name")
        with self._engine.begin() as conn:
            tallies.set_bundle(conn, frozen.tally, made.cid)
            return tallies.read_frozen(conn, tally.market_id, tally.kind, tally.round).tally

    def _freeze(self, market: MarketAccount, tally: Tally) -> FrozenTally:
        votes = self._chain_votes(market, tally.kind)
        with self._engine.begin() as conn:
            frozen = tallies.freeze(
                conn,
                market.market_id,
                tally.kind,
                tally.round,
                slot=votes.slot,
                chain_time=self._clock.unix_timestamp,
                chain_votes=votes.value,
                unit=tallies.weight_unit(self._settings, tally.kind),
            )
            if tally.status == "open":
                # Ballots went on coming in; what is frozen must still be what was decided.
                open_now = msgspec.structs.replace(frozen.tally, status="open")
                decision = self._decide(market, open_now)
                if not isinstance(decision, policies.Aggregate | policies.Finalize):
                    raise _DecisionChanged
        return frozen

    def _chain_votes(self, market: MarketAccount, kind: Kind) -> AtSlot[list[VoteRecord]]:
        """The votes cast on chain; in a dispute those of holders, as for ballots."""
        least = self._clock.slot
        votes = self._reader.vote_records(
            market.market_id, tallies.VOTE_KIND[kind], "finalized", least
        )
        if kind == "proposal":
            return votes
        positions = self._reader.positions(market.market_id, "finalized", least).value
        holders = {one.user for one in positions if one.shares_yes + one.shares_no > 0}
        return AtSlot(votes.slot, [vote for vote in votes.value if vote.user in holders])

    @cached_property
    def _network(self) -> bundle.Network:
        return bundle.Network(
            program=bytes(self._settings.program),
            name=self._settings.solana_cluster,
            genesis=str(self._reader.rpc.genesis_hash()),
        )

    def _rule_values(self, tally: Tally) -> bundle.RuleValues:
        proposal = tally.kind == "proposal"
        return bundle.RuleValues(
            threshold_bps=self._config.proposal_approval_threshold
            if proposal
            else self._config.dispute_success_threshold,
            minimum_ballots=self._rules.min_proposal_votes
            if proposal
            else self._rules.min_dispute_votes,
            eligibility=bundle.ELIGIBILITY[tally.kind],
            weight_unit=tally.weight_unit,
        )

    def _update_alerts(self, wanted: dict[AlertKey, policies.Alert]) -> None:
        """Raises what people must look at, and clears what is over."""
        with self._engine.begin() as conn:
            for key, alert in wanted.items():
                if key.market_id is None:
                    raise ValueError(f"the alert {key} names no market")
                detail = {"market_id": key.market_id.hex()}
                if alert.topic == "approval_needs_admin":
                    detail["transaction"] = self._prepared_approval(key.market_id)
                message = f"market {key.market_id.hex()}: {alert.reason}"
                raise_alert(conn, key, alert.severity, message, detail)
            for key in candidates.alerts_to_recheck(conn, self._clock.unix_timestamp):
                if key not in wanted:
                    clear_alert(conn, key)

    def _prepared_approval(self, market_id: bytes) -> str:
        """approve_proposal for the admin to sign, in base64; a fresh blockhash goes in first."""
        admin = Pubkey(self._config.admin)
        instruction = actions.instruction(
            "approve_proposal",
            {},
            market_id,
            program_id=self._settings.program,
            authority=admin,
        )
        return b64encode(unsigned_transaction(admin, [instruction], Hash.default())).decode()


def _approval(conn: Connection, tally: Tally) -> Intent | None:
    return intents.create(
        conn,
        market_id=tally.market_id,
        action="approve_proposal",
        round_number=tally.round,
        arguments={"likes": tally.votes_for, "dislikes": tally.votes_against},
        bundle_cid=tally.bundle_cid,
    )


def _created(*found: Intent | None) -> list[Intent]:
    return [intent for intent in found if intent is not None]
