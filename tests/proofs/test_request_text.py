"""The text of one write: bound to service, chain, action, subject and body, read in one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.ipfs.canonical_json import NotCanonical
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.proofs.request_text import (
    Operation,
    RequestExpired,
    RequestRejected,
    RequestText,
    Service,
    body_digest,
    check,
    parse,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TTL = timedelta(minutes=5)
EXAMPLE = """\
ZMART request zmart-request-1
domain: localhost
program: 6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw
network: localnet
action: comment
subject: 0101010101010101010101010101010101010101010101010101010101010101
body: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
nonce: 5b1c0c8f9a7e4d21
issued: 2026-11-20T12:00:00Z
expires: 2026-11-20T12:05:00Z"""
SERVICE = Service("localhost", bytes(DEFAULT_PROGRAM_ID), "localnet")
OPERATION = Operation("comment", "01" * 32, body_digest({}))
TEXT = RequestText(SERVICE, OPERATION, "5b1c0c8f9a7e4d21", NOW, NOW + TTL)

seconds = st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC))
texts = st.builds(
    RequestText,
    service=st.builds(
        Service,
        domain=st.from_regex(r"[a-z0-9.-]{1,60}", fullmatch=True),
        program=st.binary(min_size=32, max_size=32),
        network=st.sampled_from(["localnet", "devnet", "mainnet"]),
    ),
    operation=st.builds(
        Operation,
        action=st.sampled_from(["comment", "delete-comment", "draft"]),
        subject=st.from_regex(r"[0-9a-f-]{1,64}", fullmatch=True),
        body=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    ),
    nonce=st.from_regex(r"[A-Za-z0-9_-]{8,64}", fullmatch=True),
    issued=seconds,
    expires=seconds,
)


def checked(text: RequestText, now: datetime = NOW) -> None:
    check(text.compose(), service=SERVICE, operation=OPERATION, now=now, ttl=TTL)


def test_documented_example_is_the_composed_text() -> None:
    assert TEXT.compose() == EXAMPLE
    assert parse(EXAMPLE) == TEXT
    checked(TEXT)


@given(texts)
def test_composed_text_is_parsed_back(text: RequestText) -> None:
    assert parse(text.compose()) == text


@given(texts, st.data())
def test_changed_text_says_something_else_or_nothing(text: RequestText, data: Any) -> None:
    message = text.compose()
    place = data.draw(st.integers(0, len(message) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda c: c != message[place]))
    try:
        found = parse(message[:place] + other + message[place + 1 :])
    except RequestRejected:
        return
    assert found != text


@given(st.text(max_size=300))
def test_any_text_is_refused_with_a_reason(message: str) -> None:
    with pytest.raises(RequestRejected):
        parse(message)
    with pytest.raises(RequestRejected):
        parse(f"ZMART request zmart-request-1\n{message}")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"service": msgspec.structs.replace(SERVICE, domain="evil.example")}, "domain"),
        ({"service": msgspec.structs.replace(SERVICE, program=bytes(32))}, "program"),
        ({"service": msgspec.structs.replace(SERVICE, network="mainnet")}, "network"),
        ({"operation": msgspec.structs.replace(OPERATION, action="draft")}, "action"),
        ({"operation": msgspec.structs.replace(OPERATION, subject="02" * 32)}, "subject"),
        ({"operation": msgspec.structs.replace(OPERATION, body="00" * 32)}, "body"),
    ],
)
def test_text_must_be_of_this_request(change: dict[str, Any], line: str) -> None:
    with pytest.raises(RequestRejected, match=f"'{line}' differs from the request"):
        checked(msgspec.structs.replace(TEXT, **change))


def test_times() -> None:
    with pytest.raises(RequestExpired):
        checked(TEXT, NOW + TTL)
    checked(TEXT, NOW + TTL - timedelta(seconds=1))
    checked(TEXT, NOW - timedelta(minutes=1))
    with pytest.raises(RequestRejected, match="in the future"):
        checked(TEXT, NOW - timedelta(seconds=61))
    for validity in (TTL + timedelta(seconds=1), timedelta(), -TTL):
        with pytest.raises(RequestRejected, match="expires earlier"):
            checked(msgspec.structs.replace(TEXT, expires=NOW + validity))


def test_digest_is_of_the_canonical_body_without_the_proof() -> None:
    body = {"market_id": "x", "content": "\u00e9", "liquidity": 10**15}
    proof = {"message": "m", "signature": "s", "wallet": "w"}
    assert body_digest(body) == body_digest(dict(reversed((proof | body).items())))
    assert body_digest(body) != body_digest(body | {"content": "e\u0301"})
    assert body_digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(NotCanonical):
        body_digest({"liquidity": 2**53})
