"""The node over JSON-RPC: commitment, state across restarts, determinism."""

from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet


def test_program_is_configured_at_genesis_by_transactions_in_the_history(
    localnet: Localnet,
) -> None:
    rows = localnet.result("getSignaturesForAddress", str(localnet.program))
    assert [row["slot"] for row in rows] == [2, 1]
    assert {row["confirmationStatus"] for row in rows} == {"finalized"}
    accounts = localnet.result("getProgramAccounts", str(localnet.program), {"encoding": "base64"})
    assert [row["account"]["space"] for row in accounts] == [206]


def test_killed_node_resumes_with_the_confirmed_slots(localnet: Localnet) -> None:
    wallet = Keypair().pubkey()
    signature = localnet.airdrop(wallet, 5_000_000)
    before = localnet.control.status()
    localnet.restart(kill=True)
    after = localnet.control.status()
    assert after["processed"] == before["processed"]
    assert after["finalized"] == before["finalized"]
    confirmed = {"commitment": "confirmed"}
    assert localnet.result("getBalance", str(wallet), confirmed)["value"] == 5_000_000
    assert localnet.result("getBalance", str(wallet))["value"] == 0
    localnet.control.finalize()
    assert localnet.result("getBalance", str(wallet))["value"] == 5_000_000
    status = localnet.result("getSignatureStatuses", [signature])["value"][0]
    assert status["confirmationStatus"] == "finalized"
