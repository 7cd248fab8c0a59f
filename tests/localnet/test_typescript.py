"""@solana/web3.js and @coral-xyz/anchor work against the node unchanged."""

from tests.fixtures.clients import RunClient
from tests.fixtures.localnet import Localnet
from zmart_pipelines.program.idl import IDL_FILE


def test_web3js_and_anchor_drive_a_market(
    ticking_localnet: Localnet, run_client: RunClient
) -> None:
    seen = run_client(
        "chain.mjs",
        ticking_localnet.rpc_url,
        IDL_FILE,
        str(ticking_localnet.program),
        ticking_localnet.state / "keys",
    )
    assert seen == {
        "balance": 20_000_000_000,
        "accountChange": 1_000_000_000,
        "v0Error": None,
        "received": 3_000_000_000,
        "v0Version": 0,
        "v0Fee": 5000,
        "legacyVersion": "legacy",
        "parsed": [True, False, False],
        "newestFirst": True,
        "paged": True,
        "refused": [
            "Error",
            (
                "Transaction simulation failed: "
                "Error processing Instruction 0: custom program error: 0x1"
            ),
            "Program 11111111111111111111111111111111 failed: custom program error: 0x1",
        ],
        "market": [{"proposed": {}}, True, "100000000000"],
        "event": True,
        "markets": 1,
        "anchorError": ["AnchorError", 6029],
        "bought": True,
        "events": [
            "marketCreated",
            "proposalVoteSubmitted",
            "proposalAggregated",
            "proposalApproved",
            "marketActivated",
            "sharesBought",
        ],
        "createdFirst": True,
    }
