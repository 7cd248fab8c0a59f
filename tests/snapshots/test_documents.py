"""The documents of a snapshot: canonical, small enough, complete, each naming the one before."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.snapshots.documents import Document, Period, documents
from zmart_pipelines.snapshots.integrity import broken_links
from zmart_pipelines.store.queries.discussion_snapshots import ChangedComment, StoredDocument

MARKET = bytes([7]) * 32
START = datetime(2026, 5, 1, tzinfo=UTC)
PERIOD = Period(None, START + timedelta(days=1))
TIMES = st.integers(0, 86_400_000).map(lambda ms: START + timedelta(milliseconds=ms))
COMMENTS = st.lists(
    st.builds(
        ChangedComment,
        id=st.uuids(),
        parent_id=st.none() | st.uuids(),
        wallet=st.binary(min_size=32, max_size=32),
        content=st.text(st.characters(codec="utf-8"), max_size=60),
        signature=st.none() | st.binary(min_size=64, max_size=64),
        created_at=TIMES,
        edited_at=st.none() | TIMES,
        deleted_at=st.none() | TIMES,
        hidden_at=st.none() | TIMES,
    ),
    max_size=30,
)


def comment(number: int, content: str = "hello") -> ChangedComment:
    return ChangedComment(UUID(int=number), None, bytes(32), content, None, START, None, None, None)


def content(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document.data)
    return found


@given(comments=COMMENTS, most=st.integers(2500, 6000), previous=st.none() | st.just("Qm"))
def test_every_comment_is_in_one_document(
    comments: list[ChangedComment], most: int, previous: str | None
) -> None:
    made = documents(MARKET, PERIOD, previous, comments, max_bytes=most)
    shown = [one for document in made for one in content(document)["comments"]]
    assert [one["id"] for one in shown] == [str(one.id) for one in comments]
    assert [one["content"] for one in shown] == [one.content for one in comments]
    for document in made:
        assert len(document.data) <= most
        assert document.cid == cid_v0(document.data)
        assert canonical_bytes(content(document)) == document.data
        assert document.comments == len(content(document)["comments"]) > 0
        assert content(document)["previous"] == previous
        previous = document.cid
    assert [one.part for one in made] == list(range(1, len(made) + 1))
    assert {one.parts for one in made} <= {len(made)}


def test_same_comments_make_the_same_bytes() -> None:
    comments = [comment(1), comment(2, "größer")]
    assert documents(MARKET, PERIOD, None, comments) == documents(MARKET, PERIOD, None, comments)


def test_document_says_what_it_covers() -> None:
    (made,) = documents(MARKET, Period(START, START + timedelta(days=1)), "Qm1", [comment(1)])
    assert content(made) == {
        "version": 1,
        "market": MARKET.hex(),
        "period": {"from": "2026-05-01T00:00:00.000Z", "to": "2026-05-02T00:00:00.000Z"},
        "part": 1,
        "parts": 1,
        "previous": "Qm1",
        "comments": [
            {
                "id": str(UUID(int=1)),
                "parent": None,
                "wallet": "1" * 32,
                "content": "hello",
                "signature": None,
                "created_at": "2026-05-01T00:00:00.000Z",
                "edited_at": None,
                "deleted_at": None,
                "hidden_at": None,
            }
        ],
    }


def test_comment_that_fits_no_document_is_an_error() -> None:
    with pytest.raises(ValueError, match="bytes of at most"):
        documents(MARKET, PERIOD, None, [comment(1, "x" * 3000)], max_bytes=2500)


def stored(market_id: bytes, made: list[Document], day: date) -> list[StoredDocument]:
    return [StoredDocument(market_id, day, one.part, one.cid, one.data) for one in made]


def two_days() -> list[StoredDocument]:
    first = documents(
        MARKET, PERIOD, None, [comment(n, "x" * 900) for n in range(6)], max_bytes=4000
    )
    assert len(first) > 1
    second = documents(MARKET, Period(PERIOD.end, PERIOD.end), first[-1].cid, [comment(9)])
    return [
        *stored(MARKET, first, date(2026, 5, 1)),
        *stored(MARKET, second, date(2026, 5, 2)),
        *stored(bytes(32), documents(bytes(32), PERIOD, None, [comment(1)]), date(2026, 5, 1)),
    ]


def test_whole_snapshots_have_no_broken_link() -> None:
    assert list(broken_links(two_days())) == []
    # The oldest may be gone: their retention is over.
    assert list(broken_links(two_days()[1:])) == []


@pytest.mark.parametrize("removed", [1, 2])
def test_missing_document_is_found(removed: int) -> None:
    rows = two_days()
    followed = rows[removed + 1] if rows[removed + 1].market_id == MARKET else None
    del rows[removed]
    found = list(broken_links(rows))
    assert [one.part for one in found] == ([] if followed is None else [followed.part])


@pytest.mark.parametrize("at", range(3))
def test_changed_byte_is_found(at: int) -> None:
    rows = two_days()
    changed = rows[at].document.replace(b'"version":1', b'"version":2')
    rows[at] = StoredDocument(MARKET, rows[at].day, rows[at].part, rows[at].cid, changed)
    (found,) = broken_links(rows)
    assert "its bytes have the CID" in found.reason
