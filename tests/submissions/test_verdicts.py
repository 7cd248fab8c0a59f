"""Verdicts of accounts on intents."""

from typing import Any

import pytest

from tests.submissions.test_policies import market
from zmart_pipelines.program.accounts import MarketState as S
from zmart_pipelines.submissions.messages import Verdict
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.submissions.verdicts import account_verdict

COUNTS = {"likes": 7, "dislikes": 3}
RECORDED = {"proposal_likes": 7, "proposal_dislikes": 3, "proposal_total_votes": 10}
OTHERS = {"proposal_likes": 8, "proposal_dislikes": 3, "proposal_total_votes": 11}
DISPUTE = {"agree": 2, "disagree": 1}
ENDED = {"finalized_at": 9, "was_disputed": True, "dispute_agree": 2, "dispute_disagree": 1}
EVIDENCE = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
RESOLUTION = {"outcome": False, "evidence_cid": EVIDENCE}
RESOLVED = {"proposed_outcome": False, "ipfs_evidence_hash": EVIDENCE.encode()}
OTHER_EVIDENCE = {"ipfs_evidence_hash": b"Q" * 46}
READY, DONE, LOST, EARLY = Verdict.READY, Verdict.DONE, Verdict.LOST, Verdict.EARLY


@pytest.mark.parametrize(
    ("action", "arguments", "state", "values", "expected"),
    [
        ("aggregate_proposal_votes", COUNTS, S.PROPOSED, {}, READY),
        ("aggregate_proposal_votes", COUNTS, S.PROPOSED, OTHERS, READY),
        ("aggregate_proposal_votes", COUNTS, S.PROPOSED, RECORDED, DONE),
        ("aggregate_proposal_votes", COUNTS, S.APPROVED, RECORDED, DONE),
        ("aggregate_proposal_votes", COUNTS, S.APPROVED, OTHERS, LOST),
        ("aggregate_proposal_votes", COUNTS, S.CANCELLED, {}, LOST),
        ("approve_proposal", COUNTS, S.PROPOSED, {}, EARLY),
        ("approve_proposal", COUNTS, S.PROPOSED, OTHERS, EARLY),
        ("approve_proposal", COUNTS, S.PROPOSED, RECORDED, READY),
        ("approve_proposal", COUNTS, S.APPROVED, RECORDED, DONE),
        ("approve_proposal", COUNTS, S.FINALIZED, OTHERS, DONE),
        ("approve_proposal", COUNTS, S.CANCELLED, RECORDED, LOST),
        ("activate_market", {}, S.PROPOSED, {}, EARLY),
        ("activate_market", {}, S.APPROVED, {}, READY),
        ("activate_market", {}, S.ACTIVE, {}, DONE),
        ("activate_market", {}, S.FINALIZED, {}, DONE),
        ("activate_market", {}, S.CANCELLED, {}, LOST),
        ("resolve_market", RESOLUTION, S.APPROVED, {}, EARLY),
        ("resolve_market", RESOLUTION, S.ACTIVE, {}, READY),
        ("resolve_market", RESOLUTION, S.RESOLVING, RESOLVED, DONE),
        ("resolve_market", RESOLUTION, S.FINALIZED, RESOLVED, DONE),
        ("resolve_market", RESOLUTION, S.RESOLVING, RESOLVED | {"proposed_outcome": True}, LOST),
        ("resolve_market", RESOLUTION, S.RESOLVING, RESOLVED | OTHER_EVIDENCE, LOST),
        ("resolve_market", RESOLUTION, S.CANCELLED, {}, LOST),
        ("finalize_market", {}, S.RESOLVING, {}, READY),
        ("finalize_market", {}, S.RESOLVING, {"was_disputed": True}, LOST),
        ("finalize_market", {}, S.RESOLVING, {"dispute_total_votes": 1}, LOST),
        ("finalize_market", {}, S.DISPUTED, {}, LOST),
        ("finalize_market", {}, S.FINALIZED, {"finalized_at": 9}, DONE),
        ("finalize_market", {}, S.FINALIZED, ENDED, LOST),
        # aggregate_dispute_votes finalizes without a time and without an outcome.
        ("finalize_market", {}, S.FINALIZED, {"finalized_at": 0}, LOST),
        ("finalize_market", {}, S.ACTIVE, {}, LOST),
        ("finalize_market", DISPUTE, S.DISPUTED, {}, READY),
        ("finalize_market", DISPUTE, S.FINALIZED, ENDED, DONE),
        ("finalize_market", DISPUTE, S.FINALIZED, ENDED | {"dispute_agree": 3}, LOST),
        ("finalize_market", DISPUTE, S.FINALIZED, ENDED | {"finalized_at": 0}, LOST),
        ("finalize_market", DISPUTE, S.FINALIZED, ENDED | {"was_disputed": False}, LOST),
        ("finalize_market", DISPUTE, S.RESOLVING, {}, LOST),
    ],
)
def test_judgement(
    action: Action, arguments: dict[str, Any], state: S, values: dict[str, Any], expected: Verdict
) -> None:
    verdict, reason = account_verdict(action, arguments, market(state, **values))
    assert verdict is expected
    assert bool(reason) == (verdict in (LOST, EARLY))


@pytest.mark.parametrize("action", ["aggregate_proposal_votes", "finalize_market"])
def test_a_market_that_is_not_there_yet(action: Action) -> None:
    assert account_verdict(action, COUNTS, None)[0] is EARLY
