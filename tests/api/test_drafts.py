"""Draft documents: equal texts give equal bytes, whatever Unicode form the client sends."""

import json
from datetime import UTC, datetime, timedelta

import msgspec

from api.drafts import Draft, compose_draft
from api.requests.bodies import NewMarket
from zmart_pipelines.ipfs.canonical_json import parse_canonical
from zmart_pipelines.ipfs.cid import cid_v0

NOW = datetime(2026, 1, 2, tzinfo=UTC)
COMPOSED = "Will \u00c5ngstr\u00f6m reach the finals?"
DECOMPOSED = "Will A\u030angstro\u0308m reach the finals?"


def draft(question: str) -> Draft:
    body = msgspec.convert(
        {
            "question": question,
            "category": "sports",
            "end_date": "2031-03-01T12:00:00Z",
            "liquidity": 10**9,
            "description": question,
            "tags": [question],
        },
        NewMarket,
    )
    return compose_draft(body, bytes(32), NOW, timedelta(hours=24), b"key")


def test_decomposed_and_composed_texts_have_the_same_document() -> None:
    assert COMPOSED != DECOMPOSED
    composed, decomposed = draft(COMPOSED), draft(f"  {DECOMPOSED} ")
    assert decomposed.document == composed.document
    assert decomposed.market_id == composed.market_id
    document = parse_canonical(composed.document)
    assert document == json.loads(composed.document)
    assert (document["question"], document["description"]) == (COMPOSED, COMPOSED)
    assert composed.question_hash == cid_v0(composed.document)
