"""Facts of record are immutable for every role, the owner included."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from tests.store.conftest import Engines
from zmart_pipelines.store.engine import Role

MARKET, WALLET = bytes([7]) * 32, bytes([8]) * 32

HISTORY = """
INSERT INTO voting.tallies (market_id, kind) VALUES (:market, 'proposal');
INSERT INTO voting.counted_ballots (market_id, kind, round, wallet, source, choice, proof)
    VALUES (:market, 'proposal', 0, :wallet, 'wallet', true, '{}');
UPDATE voting.tallies SET status = 'frozen', votes_for = 1, ballots = 1, frozen_slot = 5,
    frozen_chain_time = 6, frozen_at = now(), counted_at = now();
UPDATE voting.tallies SET bundle_cid = 'Qm1';
INSERT INTO ops.intents (market_id, action, arguments)
    VALUES (:market, 'aggregate_proposal_votes', '{"likes": 1}');
INSERT INTO ops.attempts (intent_id, market_id, signature, transaction, blockhash,
    last_valid_block_height, epoch)
    SELECT id, :market, sha512('a'), 'signed', 'x', 9, 1 FROM ops.intents;
INSERT INTO ops.audit (entry_point, os_user, action) VALUES ('cli', 'root', 'switch')
"""
USERS = """
INSERT INTO community.users (wallet) VALUES (:wallet);
INSERT INTO community.discussions (market_id, wallet, content) VALUES (:market, :wallet, 'hello');
INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document, question,
    category, ends_at, expires_at)
    VALUES (:market, :wallet, 'n', 'Qm', '', 'Is this a question?', 'crypto', now(), now());
UPDATE community.market_drafts SET matched_at = now();
INSERT INTO community.idempotency_keys (wallet, key, digest, answer)
    VALUES (:wallet, 'k', :wallet, '{}');
INSERT INTO community.comment_votes (comment_id, wallet)
    SELECT id, :wallet FROM community.discussions;
INSERT INTO community.comment_reports (comment_id, wallet, reason)
    SELECT id, :wallet, 'spam' FROM community.discussions;
INSERT INTO community.former_texts (comment_id, content)
    SELECT id, 'once' FROM community.discussions
"""
# A round after the first is opened by operators, at a chain time.
OPEN_ROUND = (
    "INSERT INTO voting.tallies (market_id, kind, round, opened_chain_time)"
    " VALUES (:market, '{kind}', {round}, 7)"
)
# Statements that change what is on record, though the owner has the right to all of them.
FORGERIES = [
    "UPDATE voting.tallies SET votes_for = 999 WHERE status = 'frozen'",
    "UPDATE voting.tallies SET votes_against = 1",
    "UPDATE voting.tallies SET ballots = 2",
    "UPDATE voting.tallies SET status = 'open', frozen_slot = NULL",
    "UPDATE voting.tallies SET frozen_slot = 7",
    "UPDATE voting.tallies SET frozen_chain_time = 7",
    "UPDATE voting.tallies SET bundle_cid = 'Qm2'",
    "UPDATE voting.tallies SET bundle_cid = NULL",
    "UPDATE voting.tallies SET weight_unit = 5",
    "UPDATE voting.tallies SET round = 1",
    "DELETE FROM voting.tallies",
    "TRUNCATE voting.tallies",
    (
        "INSERT INTO voting.tallies (market_id, kind, round, status, votes_for, frozen_slot)"
        " VALUES (:market, 'proposal', 1, 'frozen', 999, 1)"
    ),
    OPEN_ROUND.format(kind="proposal", round=1),
    OPEN_ROUND.format(kind="dispute", round=1),
    "UPDATE voting.counted_ballots SET choice = false",
    "DELETE FROM voting.counted_ballots",
    "TRUNCATE voting.counted_ballots",
    (
        "INSERT INTO voting.counted_ballots SELECT market_id, kind, round, sha256('x'), source,"
        " true, proof, 1 FROM voting.counted_ballots"
    ),
    (
        "INSERT INTO voting.counted_ballots SELECT market_id, 'dispute', round, wallet, source,"
        " true, proof, 1 FROM voting.counted_ballots"
    ),
    """UPDATE ops.intents SET arguments = '{"likes": 999}'""",
    "UPDATE ops.intents SET market_id = sha256('x')",
    "UPDATE ops.intents SET bundle_cid = 'Qm2'",
    "UPDATE ops.intents SET due_at = created_at - interval '1 minute'",
    "DELETE FROM ops.intents",
    "TRUNCATE ops.intents CASCADE",
    "UPDATE ops.attempts SET transaction = 'other'",
    "UPDATE ops.attempts SET signature = sha512('b')",
    "UPDATE ops.attempts SET last_valid_block_height = 10",
    "DELETE FROM ops.attempts",
    "TRUNCATE ops.attempts",
    "UPDATE community.discussions SET content = 'other'",
    "DELETE FROM community.discussions",
    "TRUNCATE community.discussions CASCADE",
    "UPDATE community.market_drafts SET question = 'Is this another question?'",
    "UPDATE community.market_drafts SET document = 'other'",
    "DELETE FROM community.market_drafts",
    "TRUNCATE community.market_drafts",
    "UPDATE community.market_drafts SET draft_id = gen_random_uuid()",
    "UPDATE community.market_drafts SET evidence = '{x}'",
    "UPDATE community.market_drafts SET initial_liquidity = 5",
    "UPDATE ops.audit SET reason = 'other'",
    "DELETE FROM ops.audit",
    "TRUNCATE ops.audit",
    "UPDATE community.discussions SET up_votes = 100",
    "UPDATE community.discussions SET replies = 100",
    "UPDATE community.discussions SET deleted_at = now()",
    "UPDATE community.discussions SET hidden_at = now()",
    "UPDATE community.comment_votes SET created_at = now()",
    "TRUNCATE community.comment_votes",
    "UPDATE community.comment_reports SET note = 'other'",
    "DELETE FROM community.comment_reports",
    "UPDATE community.former_texts SET content = 'other'",
    "DELETE FROM community.former_texts",
    "UPDATE community.idempotency_keys SET answer = '1'",
    "TRUNCATE community.idempotency_keys",
]


def run(conn: Connection, script: str) -> None:
    for statement in script.split(";"):
        found = {"market": MARKET, "wallet": WALLET}
        query = text(statement.replace('": ', '"\\: '))
        conn.execute(query, {n: v for n, v in found.items() if f":{n}" in statement})


@pytest.fixture
def owner(engines: Engines) -> Engine:
    """The owner, with a counted, signed and submitted vote and a user's texts in the database."""
    with engines[Role.PIPELINES].begin() as conn:
        run(conn, HISTORY)
    with engines[Role.OWNER].begin() as conn:
        run(conn, USERS)
    return engines[Role.OWNER]


@pytest.mark.parametrize("statement", FORGERIES)
def test_owner_cannot_change_what_is_on_record(owner: Engine, statement: str) -> None:
    with owner.connect() as conn, pytest.raises(IntegrityError):
        run(conn, statement)


def test_a_settled_attempt_and_a_final_intent_stay_so(owner: Engine) -> None:
    with owner.begin() as conn:
        run(conn, "UPDATE ops.attempts SET status = 'final', fee = 5, landed_slot = 6")
        run(conn, "UPDATE ops.intents SET status = 'final', reason = 'done'")
    for statement in (
        "UPDATE ops.attempts SET status = 'sent'",
        "UPDATE ops.attempts SET fee = 6",
        "UPDATE ops.intents SET status = 'planned'",
    ):
        with owner.connect() as conn, pytest.raises(IntegrityError):
            run(conn, statement)


def test_a_reopened_round_stays_counted_and_the_next_one_begins(owner: Engine) -> None:
    without_time = "INSERT INTO voting.tallies (market_id, kind, round)"
    with owner.begin() as conn:
        run(conn, "UPDATE voting.tallies SET status = 'reopened'")
    with owner.connect() as conn, pytest.raises(IntegrityError, match="opened_chain_time"):
        run(conn, f"{without_time} VALUES (:market, 'proposal', 1)")
    with owner.begin() as conn:
        run(conn, OPEN_ROUND.format(kind="proposal", round=1))
    for statement in (
        "UPDATE voting.tallies SET status = 'frozen' WHERE round = 0",
        "UPDATE voting.tallies SET votes_for = 999 WHERE round = 0",
        OPEN_ROUND.format(kind="proposal", round=2),
        "UPDATE voting.tallies SET opened_chain_time = 8 WHERE round = 1",
    ):
        with owner.connect() as conn, pytest.raises(IntegrityError):
            run(conn, statement)


def test_a_migration_can_lift_the_guard(owner: Engine) -> None:
    with owner.begin() as conn:
        run(conn, "ALTER TABLE voting.tallies DISABLE TRIGGER guard")
        run(conn, "UPDATE voting.tallies SET votes_for = 2")
        run(conn, "ALTER TABLE voting.tallies ENABLE TRIGGER guard")
