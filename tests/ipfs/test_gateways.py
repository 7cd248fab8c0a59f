"""Gateways: the first right answer wins, and none is believed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ipfs.gateway_server import Gateway, Mode, running_gateway
from zmart_pipelines import base58
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0, content_of
from zmart_pipelines.ipfs.gateways import Gateways, Race

DATA = b'{"comments":[]}'
CID = cid_v0(DATA)
# The node of "hello world\n" as kubo writes it, from which its well-known CID follows.
HELLO = b"hello world\n"
HELLO_CID = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
HELLO_BLOCK = b"\x0a\x12\x08\x02\x12\x0c" + HELLO + b"\x18\x0c"

Start = Callable[[Mode], Gateway]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def started(mode: Mode) -> Gateway:
            gateway = stack.enter_context(running_gateway(mode))
            gateway.files[CID] = DATA
            return gateway

        yield started


def fetch(*asked: Gateway, cid: str = CID, stagger: float = 0.05, seconds: float = 5.0) -> Race:
    return race(gateways(*asked, stagger=stagger, seconds=seconds), cid)


def gateways(*asked: Gateway, stagger: float = 0.05, seconds: float = 5.0) -> Gateways:
    return Gateways(
        [one.url for one in asked], stagger=stagger, seconds=seconds, ejection_seconds=60
    )


def race(asked: Gateways, cid: str = CID) -> Race:
    return anyio.run(asked.fetch, cid)


def outcomes(found: Race) -> dict[str, str]:
    return {one.gateway: one.outcome for one in found.verdicts}


def test_first_gateway_is_asked_alone_while_it_is_quick(start: Start) -> None:
    first, second = start("file"), start("file")
    assert fetch(first, second, stagger=5.0).data == DATA
    assert (len(first.asked), len(second.asked)) == (1, 0)


def test_gateway_that_hangs_delays_by_the_stagger_alone(start: Start) -> None:
    slow, quick = start("hang"), start("file")
    before = time.monotonic()
    assert fetch(slow, quick, stagger=0.1, seconds=20.0).data == DATA
    assert 0.1 <= time.monotonic() - before < 3.0


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("wrong", "wrong"),
        ("html", "wrong"),
        ("large", "wrong"),
        ("redirect", "failed"),
        ("error", "failed"),
        ("cut", "failed"),
    ],
)
def test_failure_starts_the_next_gateway_at_once(start: Start, mode: Mode, outcome: str) -> None:
    bad, good = start(mode), start("file")
    found = fetch(bad, good, stagger=20.0)
    assert found.data == DATA
    assert outcomes(found) == {bad.host: outcome, good.host: "right"}
    assert len(bad.asked) == 1, "a redirect is not followed"


def test_gateway_that_answers_too_late_has_failed(start: Start) -> None:
    slow = start("hang")
    found = fetch(slow, seconds=0.1)
    assert (found.data, outcomes(found)) == (None, {slow.host: "failed"})
    assert not found.is_unknown


def test_unknown_cid_is_unknown_only_where_every_gateway_says_so(start: Start) -> None:
    other = cid_v0(b"other")
    assert fetch(start("file"), start("file"), cid=other).is_unknown
    assert not fetch(start("file"), start("error"), cid=other).is_unknown
    assert fetch(cid=other).is_unknown, "there is none to ask"


def test_gateway_with_wrong_bytes_is_left_out_for_a_time(start: Start) -> None:
    now = 0.0
    liar, good = start("wrong"), start("file")
    asked = Gateways(
        [liar.url, good.url], stagger=5.0, seconds=5.0, ejection_seconds=60, clock=lambda: now
    )
    assert race(asked).data == DATA
    again = race(asked)
    assert (again.data, again.skipped) == (DATA, (liar.host,))
    assert len(liar.asked) == 1
    now, liar.mode = 61.0, "file"
    assert outcomes(race(asked)) == {liar.host: "right"}


def test_every_gateway_left_out_is_not_taken_for_an_unknown_cid(start: Start) -> None:
    asked = gateways(start("wrong"))
    race(asked)
    assert not race(asked).is_unknown


def test_gateways_may_send_the_block_itself(start: Start) -> None:
    gateway = start("block")
    gateway.blocks[HELLO_CID] = HELLO_BLOCK
    assert fetch(gateway, cid=HELLO_CID).data == HELLO
    assert "application/vnd.ipld.raw" in gateway.asked[0]["accept"]


def test_gateways_are_sent_no_credentials(start: Start) -> None:
    gateway = start("file")
    fetch(gateway)
    assert {"authorization", "cookie", "pinata_api_key"} & gateway.asked[0].keys() == set()


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=8))
def test_only_the_file_and_its_block_have_the_content(data: bytes, more: bytes) -> None:
    cid = cid_v0(data)
    assert content_of(data, cid) == data
    assert content_of(data + more, cid) is None
    block = _block(data)
    assert content_of(block, cid) == data
    assert content_of(block + more, cid) is None


def test_largest_block_is_unpacked() -> None:
    data = bytes(range(256)) * (MAX_BLOCK // 256)
    assert content_of(_block(data), cid_v0(data)) == data


@given(st.binary(max_size=60))
def test_block_that_is_no_file_has_no_content(body: bytes) -> None:
    cid = base58.encode(b"\x12\x20" + hashlib.sha256(body).digest())
    found = content_of(body, cid)
    assert found is None or cid_v0(found) == cid


def _block(data: bytes) -> bytes:
    def varint(number: int) -> bytes:
        rest, low = divmod(number, 128)
        return bytes([low | 128]) + varint(rest) if rest else bytes([low])

    content = b"\x12" + varint(len(data)) + data if data else b""
    node = b"\x08\x02" + content + b"\x18" + varint(len(data))
    return b"\x0a" + varint(len(node)) + node
