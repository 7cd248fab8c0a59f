"""Every request gets a JSON-RPC response; errors are attributed to the request, not the node."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from localnet.node import Node
from localnet.options import Options
from localnet.rpc import dispatch
from localnet.rpc.errors import INTERNAL_ERROR, RpcError
from localnet.rpc.registry import METHODS
from localnet.views import ChainView

INVALID = -32602


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node without its edges, in this process."""
    state: Path = tmp_path_factory.mktemp("state")
    made = Node(Options(state=state, seed=1, manual_clock=True))
    yield made
    made.close()


def ask(node: Node, body: bytes) -> Any:
    try:
        request = dispatch.decode(body)
    except RpcError as error:
        return dispatch.failure(None, error)
    return json.loads(dispatch.handle(node, request, ChainView(node.bank)))


texts = st.sampled_from(
    [
        "6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw",
        "SysvarC1ock11111111111111111111111111111111",
        "11111111111111111111111111111111",
        str(Keypair().sign_message(b"")),
        "confirmed",
        "base64",
        "",
        "0OIl",
        base64.b64encode(bytes(200)).decode(),
        "\u2603" * 40,
    ]
) | st.text(max_size=20)
numbers = st.sampled_from([0, 1, -1, 2, 255, 2**31, 2**53, 2**63, 2**64, -(2**63), 0.5, 1e300])
NAMES = """
commitment encoding filters memcmp dataSize offset bytes limit before until minContextSlot
withContext dataSlice length searchTransactionHistory skipPreflight accounts addresses
sigVerify replaceRecentBlockhash maxSupportedTransactionVersion transactionDetails rewards
"""
names = st.sampled_from(NAMES.split()) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


# Mostly one or two plain values and an object of options, as the methods expect.
some_params = st.lists(values, max_size=4) | st.tuples(
    numbers | texts | st.lists(texts, max_size=2), values | st.dictionaries(names, values)
).map(list)


@settings(max_examples=1500)
@given(method=st.sampled_from(sorted(METHODS)), params=some_params)
@pytest.mark.process
def test_any_parameters_get_a_response(node: Node, method: str, params: list[Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    answer = ask(node, body.encode())
    assert answer["id"] == 7
    assert answer.get("error", {}).get("code") != INTERNAL_ERROR, answer


@settings(max_examples=200)
@given(body=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_body_gets_a_response(node: Node, body: bytes) -> None:
    answer = ask(node, body)
    for one in answer if isinstance(answer, list) else [answer]:
        assert one["error"]["code"] in (-32700, -32600, -32601)


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("getBalance", [], "missing parameter 1"),
        ("getBalance", ["nonsense"], "Invalid param"),
        ("getBalance", [5], "Expected `str`"),
        ("getSlot", [{"commitment": "sure"}], "commitment"),
        ("getAccountInfo", ["1" * 32, {"encoding": "hex"}], "encoding"),
        ("getMultipleAccounts", [["1" * 32] * 101], "max 100"),
        ("getSignatureStatuses", [["1" * 64] * 257], "max 256"),
        ("getSignaturesForAddress", ["1" * 32, {"limit": 1001}], "max 1000"),
        ("getSignaturesForAddress", ["1" * 32, {"limit": 0}], "Invalid limit"),
        ("getProgramAccounts", ["1" * 31 + "2", {"filters": [{}]}], "filter"),
        ("getProgramAccounts", ["1" * 31 + "2", {"filters": [{"dataSize": 1}] * 5}], "max 4"),
        ("requestAirdrop", ["1" * 32, 0], "lamports"),
        ("getMinimumBalanceForRentExemption", [-1], ">= 0"),
    ],
)
def test_refusals_state_the_reason(
    node: Node, method: str, params: list[Any], message: str
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    error = ask(node, body.encode())["error"]
    assert error["code"] == INVALID
    assert message in error["message"]
