"""What the database holds about comments, whatever the API does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import IntegrityError

from tests.store.conftest import Engines
from zmart_pipelines.store.engine import Role, act_as, act_as_operator
from zmart_pipelines.store.queries import comment_changes, discussions
from zmart_pipelines.store.queries.discussions import Discussion
from zmart_pipelines.store.tables import community

MARKET, OTHER_MARKET = b"\x01" * 32, b"\x02" * 32
A, B, OPERATOR = b"\x0a" * 32, b"\x0b" * 32, b"\x0f" * 32


@pytest.fixture
def api(engines: Engines) -> Engine:
    with engines[Role.OWNER].begin() as conn:
        conn.execute(insert(community.users), [{"wallet": A}, {"wallet": B}])
    return engines[Role.API]


@contextmanager
def acting(api: Engine, wallet: bytes | None) -> Iterator[Connection]:
    """A transaction of the API for a wallet."""
    with api.begin() as conn:
        act_as(conn, wallet)
        yield conn


def say(
    api: Engine,
    words: str = "hello",
    *,
    wallet: bytes = A,
    parent: UUID | None = None,
    market_id: bytes = MARKET,
) -> UUID:
    with acting(api, wallet) as conn:
        return comment_changes.insert_comment(
            conn,
            market_id=market_id,
            parent_id=parent,
            wallet=wallet,
            content=words,
            signature=None,
        )


def read(api: Engine, comment_id: UUID) -> Discussion:
    with api.connect() as conn:
        found = discussions.get(conn, comment_id)
    assert found is not None
    return found


def age(engines: Engines, comment_id: UUID, interval: str) -> None:
    """Make a comment this old. Only a migration may do that; the guard is off meanwhile."""
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("ALTER TABLE community.discussions DISABLE TRIGGER guard"))
        conn.execute(
            text(
                "UPDATE community.discussions SET created_at = now() - CAST(:age AS interval)"
                " WHERE id = :id"
            ),
            {"age": interval, "id": comment_id},
        )
        conn.execute(text("ALTER TABLE community.discussions ENABLE TRIGGER guard"))


def former_texts(engines: Engines, comment_id: UUID) -> list[str]:
    with engines[Role.OWNER].connect() as conn:
        found = conn.execute(
            text("SELECT content FROM community.former_texts WHERE comment_id = :id ORDER BY id"),
            {"id": comment_id},
        )
        return list(found.scalars())


def edit(api: Engine, comment_id: UUID, words: str, wallet: bytes = A) -> bool:
    with acting(api, wallet) as conn:
        return comment_changes.edit(conn, comment_id, wallet, words)


def test_author_edits_within_five_minutes_by_the_databases_clock(
    engines: Engines, api: Engine
) -> None:
    comment_id = say(api, "first")
    assert edit(api, comment_id, "second")
    age(engines, comment_id, "4 minutes 30 seconds")
    assert edit(api, comment_id, "third")
    age(engines, comment_id, "5 minutes 1 second")
    assert not edit(api, comment_id, "fourth")
    assert not edit(api, comment_id, "by another", wallet=B)
    stored = read(api, comment_id)
    assert (stored.content, former_texts(engines, comment_id)) == ("third", ["first", "second"])
    assert stored.edited_at is not None
    # Whatever the statement: the trigger measures the same.
    with acting(api, A) as conn, pytest.raises(IntegrityError, match="edited for"):
        conn.execute(text("UPDATE community.discussions SET content = 'fifth'"))


def test_edit_at_the_border_is_accepted_and_after_it_refused(engines: Engines, api: Engine) -> None:
    """The transaction's own time decides: no time passes between the two."""
    comment_id = say(api)
    owner = engines[Role.OWNER]
    for offset, accepted in (("0", True), ("1 microsecond", False)):
        with owner.begin() as conn:
            act_as(conn, A)
            conn.execute(text("ALTER TABLE community.discussions DISABLE TRIGGER guard"))
            conn.execute(
                text(
                    "UPDATE community.discussions SET created_at ="
                    " now() - community.edit_period() - CAST(:offset AS interval)"
                ),
                {"offset": offset},
            )
            conn.execute(text("ALTER TABLE community.discussions ENABLE TRIGGER guard"))
            assert comment_changes.edit(conn, comment_id, A, f"edit {offset}") is accepted


def test_text_of_a_deleted_comment_leaves_its_row(engines: Engines, api: Engine) -> None:
    comment_id = say(api, "regretted")
    with acting(api, A) as conn:
        assert comment_changes.mark_deleted(conn, comment_id, A)
        assert not comment_changes.mark_deleted(conn, comment_id, A)
    assert read(api, comment_id).content == ""
    assert former_texts(engines, comment_id) == ["regretted"]
    assert not edit(api, comment_id, "again")
    for statement in ("deleted_at = NULL", "content = 'again'"):
        with acting(api, A) as conn, pytest.raises(IntegrityError):
            conn.execute(text(f"UPDATE community.discussions SET {statement}"))
    with acting(api, None) as conn:
        count = conn.execute(text("SELECT count(*) FROM community.former_texts")).scalar_one()
    assert count == 0


def test_operators_hide_and_show_and_authors_do_not(engines: Engines, api: Engine) -> None:
    comment_id = say(api, "questionable")
    with acting(api, A) as conn, pytest.raises(IntegrityError, match="only operators"):
        comment_changes.hide(conn, comment_id)
    with api.begin() as conn:
        act_as_operator(conn, OPERATOR)
        assert comment_changes.hide(conn, comment_id)
    assert read(api, comment_id).content == ""
    with acting(api, A) as conn, pytest.raises(IntegrityError, match="only operators"):
        comment_changes.unhide(conn, comment_id)
    with api.begin() as conn:
        act_as_operator(conn, OPERATOR)
        assert comment_changes.unhide(conn, comment_id)
    assert read(api, comment_id).content == "questionable"
    with api.connect() as conn:
        act_as_operator(conn, OPERATOR)
        with pytest.raises(IntegrityError, match="only its author"):
            conn.execute(text("UPDATE community.discussions SET content = 'in your name'"))


def test_hidden_comment_that_its_author_deletes_stays_deleted(
    engines: Engines, api: Engine
) -> None:
    comment_id = say(api, "both")
    with api.begin() as conn:
        act_as_operator(conn, OPERATOR)
        comment_changes.hide(conn, comment_id)
    with acting(api, A) as conn:
        assert comment_changes.mark_deleted(conn, comment_id, A)
    with api.begin() as conn:
        act_as_operator(conn, OPERATOR)
        comment_changes.unhide(conn, comment_id)
    assert read(api, comment_id).content == ""


def test_replies_are_one_level_deep_and_in_their_threads_market(api: Engine) -> None:
    thread = say(api)
    reply = say(api, wallet=B, parent=thread)
    for parent, market_id in ((reply, MARKET), (thread, OTHER_MARKET), (UUID(int=7), MARKET)):
        with pytest.raises(IntegrityError):
            say(api, parent=parent, market_id=market_id)
    assert read(api, thread).replies == 1


def test_replies_that_are_shown_are_counted(api: Engine) -> None:
    thread = say(api)
    first, second = (say(api, wallet=B, parent=thread) for _ in range(2))
    with acting(api, B) as conn:
        comment_changes.mark_deleted(conn, first, B)
    assert read(api, thread).replies == 1
    for act, replies in ((comment_changes.hide, 0), (comment_changes.unhide, 1)):
        with api.begin() as conn:
            act_as_operator(conn, OPERATOR)
            act(conn, second)
        assert read(api, thread).replies == replies
    with api.connect() as conn:
        assert [row.id for row in discussions.replies_of(conn, thread)] == [second]


def test_deletion_during_a_reply_waits_or_is_seen(api: Engine) -> None:
    """Either order leaves a thread that says how many replies it has."""
    for number in range(12):
        thread = say(api, f"thread {number}")

        def reply(parent: UUID = thread) -> str:
            try:
                say(api, wallet=B, parent=parent)
            except IntegrityError:
                return "refused"
            return "replied"

        def remove(comment_id: UUID = thread) -> str:
            with acting(api, A) as conn:
                return str(comment_changes.mark_deleted(conn, comment_id, A))

        with ThreadPoolExecutor(2) as pool:
            acts = [reply, remove] if number % 2 else [remove, reply]
            futures = [pool.submit(act) for act in acts]
            results = {future.result() for future in futures}
        replied = "replied" in results
        assert "True" in results
        assert read(api, thread).replies == int(replied)
    with api.connect() as conn:
        listed = discussions.threads(conn, MARKET, limit=100)
    assert all(row.replies == 1 and row.content == "" for row in listed)


def test_two_votes_at_once_of_one_wallet_count_one(api: Engine) -> None:
    comment_id = say(api)

    def vote(wallet: bytes) -> bool:
        with acting(api, wallet) as conn:
            return comment_changes.add_vote(conn, comment_id, wallet)

    with ThreadPoolExecutor(8) as pool:
        votes = list(pool.map(vote, [A, B] * 6))
    assert sum(votes) == 2
    assert read(api, comment_id).up_votes == 2
    for counted in (True, False):
        with acting(api, A) as conn:
            assert comment_changes.remove_vote(conn, comment_id, A) is counted
    assert read(api, comment_id).up_votes == 1


def test_withdrawn_comment_takes_no_votes_but_gives_them_back(api: Engine) -> None:
    comment_id = say(api)
    with acting(api, B) as conn:
        comment_changes.add_vote(conn, comment_id, B)
    with acting(api, A) as conn:
        comment_changes.mark_deleted(conn, comment_id, A)
    with acting(api, A) as conn, pytest.raises(IntegrityError, match="that is shown"):
        comment_changes.add_vote(conn, comment_id, A)
    with acting(api, B) as conn:
        assert comment_changes.remove_vote(conn, comment_id, B)
    assert read(api, comment_id).up_votes == 0


def test_new_comment_has_no_history(engines: Engines, api: Engine) -> None:
    for column, value in (("up_votes", "5"), ("deleted_at", "now()"), ("hidden_at", "now()")):
        with engines[Role.OWNER].connect() as conn, pytest.raises(IntegrityError):
            conn.execute(
                text(
                    f"INSERT INTO community.discussions (market_id, wallet, content, {column})"
                    f" VALUES (:market, :wallet, '', {value})"
                ),
                {"market": MARKET, "wallet": A},
            )
