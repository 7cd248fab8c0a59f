"""From chain accounts and ballots to intents: what must become true on chain."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cached_property
from typing import Final

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc_types import AtSlot
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import PinError, PinStore
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.program.accounts import MarketAccount, MarketState, VoteRecord
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.outages import concerns_database
from zmart_pipelines.submissions import actions as transactions
from zmart_pipelines.submissions import due_markets, intents, plan_alerts, policies
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.market_facts import off_chain_facts
from zmart_pipelines.submissions.market_reads import MarketRead, read_markets
from zmart_pipelines.submissions.policies import Decision, OffChainFacts
from zmart_pipelines.submissions.statuses import ACTIONS, Action
from zmart_pipelines.voting import bundle, tallies
from zmart_pipelines.voting.ballot import Kind
from zmart_pipelines.voting.tallies import FrozenTally, Tally

_VOTE_OF: Final[dict[MarketState, Kind]] = {
    MarketState.PROPOSED: "proposal",
    MarketState.DISPUTED: "dispute",
}

# The market states that call for each action, as far as it is planned here. A resolution is
# planned by an operator.
_STATES_OF: Final[dict[Action, frozenset[MarketState]]] = {
    "aggregate_proposal_votes": frozenset({MarketState.PROPOSED}),
    "approve_proposal": frozenset({MarketState.PROPOSED}),
    "activate_market": frozenset({MarketState.APPROVED}),
    "finalize_market": frozenset({MarketState.ACTIVE, MarketState.RESOLVING, MarketState.DISPUTED}),
    "resolve_market": frozenset(),
}


def plan(
    engine: Engine,
    reader: AccountReader,
    settings: Settings,
    *,
    actions: Collection[Action] = ACTIONS,
    pins: PinStore | None = None,
) -> list[Intent]:
    """Decide for every market that may be due for one of ``actions``; return the new intents.

    Reads markets, configuration, clock and vote records at finalized; freezes tallies, pins
    their bundles, writes the intents, raises and clears alerts. Safe to repeat and to run
    twice at once: an intent is unique per market, action and round.

    Raises:
        RpcError, RpcUnavailable, RateLimited: The chain cannot be read, for some markets or all.
            What was planned for the others stays, and the next call continues.
    """
    planner = _Planner(engine, reader, settings, actions, pins or configured_pin_store(settings))
    return planner.run()


# After so many markets for which the chain could not be read, no further one is tried.
_MAX_UNREACHABLE: Final = 3
# Characters of an unexpected error in an alert.
_MAX_REASON: Final = 300

_log = logging.getLogger(__name__)


class _DecisionChanged(Exception):
    """Ballots accepted between decision and freeze changed the decision; nothing is frozen."""


class _Planner:
    """One plan for all due markets, as of one finalized clock."""

    def __init__(
        self,
        engine: Engine,
        reader: AccountReader,
        settings: Settings,
        actions: Collection[Action],
        pins: PinStore,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._settings = settings
        self._actions = frozenset(actions)
        self._pins = pins
        # The clock is read first: an account read at its slot or later includes every dispute
        # that came before it.
        self._clock = reader.rpc.chain_clock("finalized")
        self._config = reader.config("finalized", self._clock.slot).value
        self._rules = policies.rules(settings)
        self._alerts: dict[AlertKey, policies.Alert] = {}
        # Markets whose decision is another action's to plan: their alerts stay as they are.
        self._skipped: set[bytes] = set()
        # Markets in this plan for which the chain could not be read, and why.
        self._unreachable: list[RpcError | RpcUnavailable] = []
        self._due_at: dict[tuple[bytes, Action], datetime] = {}

    def run(self) -> list[Intent]:
        """Plan, update the alerts and return the intents created."""
        reads = self._read_due_markets()
        markets = {one: read.account for one, read in reads.items() if read.account is not None}
        counts = self._counts(markets.values())
        with self._engine.connect() as conn:
            facts = off_chain_facts(conn, list(markets.values()))
        created: list[Intent] = []
        for market_id, market in markets.items():
            if len(self._unreachable) >= _MAX_UNREACHABLE:
                self._skipped.add(market_id)
                continue
            created += self._plan_apart(market, counts.get(market_id), facts[market_id])
        self._update_alerts()
        if self._unreachable:
            raise self._unreachable[-1]
        return created

    def _plan_apart(
        self, market: MarketAccount, tally: Tally | None, facts: OffChainFacts
    ) -> list[Intent]:
        """Plan one market so that its failure does not keep the others from being planned."""
        try:
            return self._plan_market(market, tally, facts)
        except (RpcError, RpcUnavailable) as error:
            self._unreachable.append(error)
            self._skipped.add(market.market_id)
        except Exception as error:
            if concerns_database(error):
                raise
            _log.exception("market %s cannot be planned", market.market_id.hex())
            reason = f"it cannot be planned: {type(error).__name__}: {error}"[:_MAX_REASON]
            self._alert(market.market_id, policies.Alert("planning_failed", "high", reason))
        return []

    def _read_due_markets(self) -> dict[bytes, MarketRead]:
        """Read the due markets at finalized; one whose bytes cannot be decoded gets an alert."""
        with self._engine.begin() as conn:
            due = due_markets.scan_due_markets(
                conn,
                self._settings,
                actions=self._actions,
                chain_time=self._clock.unix_timestamp,
                scanner="plan",
                periods=due_markets.voting_periods(self._settings, self._config.dispute_period),
            )
            decisions = due_markets.due_decisions(
                conn,
                self._settings,
                chain_time=self._clock.unix_timestamp,
                now=conn.execute(select(func.clock_timestamp())).scalar_one(),
            )
        self._due_at = {(one.market_id, one.action): one.since for one in decisions}
        reads = read_markets(self._reader.rpc, self._reader.program, due.to_read, self._clock.slot)
        for market_id, read in reads.items():
            if read.fault is not None:
                reason = f"its account cannot be read: {read.fault}"
                self._alert(market_id, policies.Alert("market_unreadable", "high", reason))
        return reads

    def _plan_market(
        self, market: MarketAccount, tally: Tally | None, facts: OffChainFacts
    ) -> list[Intent]:
        """Decide for one market and write its intents; a decision to alert is noted instead."""
        decision = self._decide(market, tally, facts)
        action = policies.action_of(decision)
        if action is not None and action not in self._actions:
            self._skipped.add(market.market_id)
            return []
        try:
            created = self._execute(market, decision, tally)
        except PinError as error:
            self._alert(market.market_id, policies.Alert("bundle_not_pinned", "high", str(error)))
            return []
        except _DecisionChanged:
            return []
        if isinstance(decision, policies.Alert):
            self._alert(market.market_id, decision)
        return created

    def _alert(self, market_id: bytes, alert: policies.Alert) -> None:
        self._alerts[AlertKey(alert.topic, market_id)] = alert

    def _counts(self, markets: Iterable[MarketAccount]) -> dict[bytes, Tally]:
        """Return the tally of the vote that each market's state calls for."""
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
        facts: OffChainFacts | None = None,
    ) -> Decision:
        count = policies.Count(0, 0)
        if tally is not None:
            count = policies.Count(
                tally.votes_for,
                tally.votes_against,
                frozen=tally.status == "frozen",
                round=tally.round,
                ballots=tally.ballots,
                reopened_at=tally.opened_chain_time,
            )
        return policies.decide(
            market,
            self._config,
            self._clock.unix_timestamp,
            count,
            self._rules,
            facts or OffChainFacts(),
        )

    def _execute(
        self, market: MarketAccount, decision: Decision, tally: Tally | None
    ) -> list[Intent]:
        match decision:
            case policies.Aggregate() if tally is not None:
                return self._aggregate(market, self._freeze_and_pin(market, tally, decision))
            case policies.Approve() if tally is not None:
                with self._engine.begin() as conn:
                    return _created(_approval(conn, tally))
            case policies.Activate():
                return self._create_intent(market, "activate_market")
            case policies.Finalize(disputed=True) if tally is not None:
                return self._finalize(market, self._freeze_and_pin(market, tally, decision))
            case policies.Finalize(disputed=False):
                return self._create_intent(market, "finalize_market")
            case policies.Alert(topic="too_many_ballots") if tally and tally.status == "open":
                # Its vote is over, and only a frozen vote can be reopened.
                self._freeze(market, tally, decision)
        return []

    def _create_intent(self, market: MarketAccount, action: Action) -> list[Intent]:
        """Write an intent without arguments."""
        with self._engine.begin() as conn:
            return _created(
                intents.create(
                    conn,
                    market_id=market.market_id,
                    action=action,
                    round_number=0,
                    arguments={},
                    due_at=self._due_at.get((market.market_id, action)),
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
                due_at=self._due_at.get((market.market_id, "aggregate_proposal_votes")),
            )
            if aggregation is None or not self._plans_approval:
                return _created(aggregation)
            return _created(aggregation, _approval(conn, tally))

    def _finalize(self, market: MarketAccount, tally: Tally) -> list[Intent]:
        with self._engine.begin() as conn:
            return _created(
                intents.create(
                    conn,
                    market_id=market.market_id,
                    action="finalize_market",
                    round_number=due_markets.finalize_round(tally.round),
                    arguments={"agree": tally.votes_for, "disagree": tally.votes_against},
                    bundle_cid=tally.bundle_cid,
                    due_at=self._due_at.get((market.market_id, "finalize_market")),
                )
            )

    def _freeze_and_pin(self, market: MarketAccount, tally: Tally, decision: Decision) -> Tally:
        """Return the tally frozen, its bundle pinned and recorded; done steps are not repeated."""
        if tally.status == "frozen" and tally.bundle_cid is not None:
            return tally
        frozen = self._freeze(market, tally, decision)
        made = bundle.make(frozen, network=self._network, rules=self._rule_values(frozen.tally))
        for cid, block in made.blocks.items():
            if self._pins.pin(block) != cid:
                raise PinError(f"the pin store returned another CID than {cid}")
        with self._engine.begin() as conn:
            tallies.set_bundle(conn, frozen.tally, made.cid)
            return tallies.read_frozen(conn, tally.market_id, tally.kind, tally.round).tally

    def _freeze(self, market: MarketAccount, tally: Tally, decision: Decision) -> FrozenTally:
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
                # Ballots were accepted meanwhile: the frozen counts must still give the decision.
                open_now = msgspec.structs.replace(frozen.tally, status="open")
                if not _is_same(self._decide(market, open_now), decision):
                    raise _DecisionChanged
        return frozen

    def _chain_votes(self, market: MarketAccount, kind: Kind) -> AtSlot[list[VoteRecord]]:
        """Return the votes cast on chain; in a dispute those of holders, as for ballots."""
        min_slot = self._clock.slot
        votes = self._reader.vote_records(
            market.market_id, tallies.VOTE_KIND[kind], "finalized", min_slot
        )
        if kind == "proposal":
            return votes
        positions = self._reader.positions(market.market_id, "finalized", min_slot).value
        holders = {row.user for row in positions if row.shares_yes + row.shares_no > 0}
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

    @property
    def _plans_approval(self) -> bool:
        return self._rules.can_approve and "approve_proposal" in self._actions

    def _update_alerts(self) -> None:
        """Raise the alerts of this plan and clear those that no longer apply."""
        states = frozenset[MarketState]().union(*(_STATES_OF[one] for one in self._actions))
        with self._engine.begin() as conn:
            for key, alert in self._alerts.items():
                self._raise_alert(conn, key, alert)
            for key in plan_alerts.alerts_to_recheck(conn, states, self._clock.unix_timestamp):
                if key not in self._alerts and key.market_id not in self._skipped:
                    clear_alert(conn, key)

    def _raise_alert(self, conn: Connection, key: AlertKey, alert: policies.Alert) -> None:
        if key.market_id is None:
            raise ValueError(f"the alert {key} names no market")
        detail: dict[str, str | int] = {"market_id": key.market_id.hex(), **alert.detail}
        if alert.topic == "approval_needs_admin":
            detail["transaction"] = self._prepared_approval(key.market_id)
        message = f"market {key.market_id.hex()}: {alert.reason}"
        raise_alert(conn, key, alert.severity, message, detail)

    def _prepared_approval(self, market_id: bytes) -> str:
        """Return approve_proposal for the admin to sign, in base64, with an empty blockhash."""
        admin = Pubkey(self._config.admin)
        instruction = transactions.instruction(
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


def _is_same(found: Decision, wanted: Decision) -> bool:
    if isinstance(found, policies.Alert) and isinstance(wanted, policies.Alert):
        return found.topic == wanted.topic
    return type(found) is type(wanted)


def _created(*found: Intent | None) -> list[Intent]:
    return [intent for intent in found if intent is not None]
