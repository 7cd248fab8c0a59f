"""The verdict of a market's account on an intent. Pure; the only place that reads success."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import MarketAccount, MarketState
from zmart_pipelines.submissions.messages import Verdict
from zmart_pipelines.submissions.statuses import Action


def account_verdict(
    action: Action, arguments: Mapping[str, Any], market: MarketAccount | None
) -> tuple[Verdict, str]:
    """Return whether the account, read at finalized, shows the intent's effect, and why not.

    Args:
        action: The intent's action.
        arguments: ``likes`` and ``dislikes`` of an aggregation and of an approval (which needs
            them on chain first); ``agree`` and ``disagree`` of the finalization of a disputed
            market, neither of an undisputed one; ``outcome`` (True: YES) and ``evidence_cid`` of a
            resolution.
        market: The account, None where there is none.
    """
    if market is None:
        return Verdict.EARLY, "the market's account does not exist at finalized"
    match action:
        case "aggregate_proposal_votes":
            return _aggregate(arguments, market)
        case "approve_proposal":
            return _approve(arguments, market)
        case "activate_market":
            return _activate(market)
        case "resolve_market":
            return _resolve(arguments, market)
        case "finalize_market":
            if arguments.get("agree") is None:
                return _finalize(market)
            return _finalize_disputed(arguments, market)


def _aggregate(arguments: Mapping[str, Any], market: MarketAccount) -> tuple[Verdict, str]:
    expected = (arguments["likes"], arguments["dislikes"])
    recorded = (market.proposal_likes, market.proposal_dislikes)
    if recorded == expected and market.proposal_total_votes == sum(expected):
        return Verdict.DONE, ""
    if market.state != MarketState.PROPOSED:
        return Verdict.LOST, f"the market is {market.state.name} with counts {recorded}"
    return Verdict.READY, ""


def _approve(arguments: Mapping[str, Any], market: MarketAccount) -> tuple[Verdict, str]:
    if market.state == MarketState.CANCELLED:
        return Verdict.LOST, "the market was cancelled"
    if market.state != MarketState.PROPOSED:
        return Verdict.DONE, ""
    if (market.proposal_likes, market.proposal_dislikes) != (
        arguments["likes"],
        arguments["dislikes"],
    ):
        return Verdict.EARLY, "the counts are not on chain yet"
    return Verdict.READY, ""


def _activate(market: MarketAccount) -> tuple[Verdict, str]:
    match market.state:
        case MarketState.CANCELLED:
            return Verdict.LOST, "the market was cancelled"
        case MarketState.PROPOSED:
            return Verdict.EARLY, "the proposal is not approved yet"
        case MarketState.APPROVED:
            return Verdict.READY, ""
        case _:
            return Verdict.DONE, ""


def _resolve(arguments: Mapping[str, Any], market: MarketAccount) -> tuple[Verdict, str]:
    match market.state:
        case MarketState.CANCELLED:
            return Verdict.LOST, "the market was cancelled"
        case MarketState.PROPOSED | MarketState.APPROVED:
            return Verdict.EARLY, "the market is not active yet"
        case MarketState.ACTIVE:
            return Verdict.READY, ""
    evidence = arguments["evidence_cid"].encode()
    if (market.proposed_outcome, market.ipfs_evidence_hash) == (arguments["outcome"], evidence):
        return Verdict.DONE, ""
    outcome = "YES" if market.proposed_outcome else "NO"
    return Verdict.LOST, f"{Pubkey(market.resolver)} resolved it as {outcome} with other evidence"


def _finalize(market: MarketAccount) -> tuple[Verdict, str]:
    disputed = market.was_disputed or market.dispute_total_votes > 0
    if market.state == MarketState.FINALIZED and not disputed and market.finalized_at > 0:
        return Verdict.DONE, ""
    if market.state == MarketState.RESOLVING and not disputed:
        return Verdict.READY, ""
    return Verdict.LOST, f"the market is {market.state.name}{' after a dispute' * disputed}"


def _finalize_disputed(arguments: Mapping[str, Any], market: MarketAccount) -> tuple[Verdict, str]:
    if market.state == MarketState.DISPUTED:
        return Verdict.READY, ""
    counts = (market.dispute_agree, market.dispute_disagree)
    if (
        market.state == MarketState.FINALIZED
        and market.finalized_at > 0
        and market.was_disputed
        and counts == (arguments["agree"], arguments["disagree"])
    ):
        return Verdict.DONE, ""
    return Verdict.LOST, f"the market is {market.state.name} with dispute counts {counts}"
