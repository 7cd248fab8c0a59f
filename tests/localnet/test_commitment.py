"""Reads at each level of commitment, and paging through the history."""

import pytest
from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet, StartLocalnet
from tests.localnet.wallets import SOL, blockhash, funded, send, signed, status
from zmart_pipelines.program import instructions
from zmart_pipelines.program.ids import CLOCK_SYSVAR

LEVELS = ["processed", "confirmed", "finalized"]


def at(chain: Localnet, method: str, *params: object) -> list[object]:
    return [chain.result(method, *params, {"commitment": level}) for level in LEVELS]


def test_slots_are_promoted_through_the_commitments(start_localnet: StartLocalnet) -> None:
    chain = start_localnet("--confirm-depth", "2", "--finality-depth", "5")
    chain.control.advance(slots=10)
    newest = chain.result("getSlot", {"commitment": "processed"})
    assert at(chain, "getSlot") == [newest, newest - 2, newest - 5]
    assert at(chain, "getBlockHeight") == [newest, newest - 2, newest - 5]
    wallet = Keypair().pubkey()
    signature = chain.result("requestAirdrop", str(wallet), SOL)
    seen = []
    for _ in range(7):
        known = status(chain, signature)
        lamports = [row["value"] for row in at(chain, "getBalance", str(wallet))]  # type: ignore[index]
        seen.append((known["confirmationStatus"], known["confirmations"], lamports))
        chain.control.advance()
    assert seen == [
        ("processed", 0, [SOL, 0, 0]),
        ("processed", 1, [SOL, 0, 0]),
        ("confirmed", 2, [SOL, SOL, 0]),
        ("confirmed", 3, [SOL, SOL, 0]),
        ("confirmed", 4, [SOL, SOL, 0]),
        ("finalized", None, [SOL, SOL, SOL]),
        ("finalized", None, [SOL, SOL, SOL]),
    ]


def test_program_accounts_are_read_as_of_the_finalized_slot(localnet: Localnet) -> None:
    wallet = funded(localnet)
    localnet.control.finalize()
    create = instructions.create_market(
        localnet.program,
        creator=wallet.pubkey(),
        market_id=bytes(range(32)),
        b_parameter=100 * SOL,
        initial_liquidity=SOL,
        question_hash=b"Q" * 46,
    )
    assert "result" in send(localnet, signed([create], wallet, blockhash(localnet)))

    def markets(commitment: str, *filters: object) -> list[str]:
        options = {
            "commitment": commitment,
            "encoding": "base64",
            "filters": list(filters),
            "withContext": True,
        }
        answer = localnet.result("getProgramAccounts", str(localnet.program), options)
        assert answer["context"]["slot"] == localnet.result("getSlot", {"commitment": commitment})
        return [row["pubkey"] for row in answer["value"]]

    size = {"dataSize": 488}
    assert len(markets("processed", size)) == 1
    assert markets("confirmed", size) == []
    localnet.control.advance()
    assert len(markets("confirmed", size)) == 1
    assert markets("finalized", size) == []
    assert len(markets("finalized")) == 1
    localnet.control.finalize()
    creator = {"memcmp": {"offset": 40, "bytes": str(wallet.pubkey())}}
    assert len(markets("finalized", size, creator)) == 1
    other = {"memcmp": {"offset": 40, "bytes": str(Keypair().pubkey())}}
    assert markets("finalized", size, other) == []


def test_min_context_slot_refuses_a_node_that_is_behind(localnet: Localnet) -> None:
    slot = localnet.result("getSlot", {"commitment": "confirmed"})
    wanted = {"commitment": "confirmed", "minContextSlot": slot}
    assert localnet.result("getBalance", str(localnet.program), wanted)["context"]["slot"] == slot
    body = localnet.rpc("getBalance", str(localnet.program), {**wanted, "minContextSlot": slot + 1})
    assert body["error"] == {
        "code": -32016,
        "message": "Minimum context slot has not been reached",
        "data": {"contextSlot": slot},
    }


def test_clock_sysvar_is_that_of_the_bank_and_follows_the_control(localnet: Localnet) -> None:
    def clock(commitment: str) -> tuple[int, int]:
        options = {"encoding": "jsonParsed", "commitment": commitment}
        value = localnet.result("getAccountInfo", str(CLOCK_SYSVAR), options)["value"]
        info = value["data"]["parsed"]["info"]
        return info["slot"], info["unixTimestamp"]

    start = clock("processed")
    assert start == (11, 1_767_225_600 + 11 * 400 // 1000)
    localnet.control.advance(seconds=3600)
    assert clock("processed") == (12, 1_767_225_600 + 3600 + 12 * 400 // 1000)
    assert clock("confirmed") == start
    assert localnet.result("getBlockTime", 11) == start[1]


def test_statuses_older_than_300_blocks_need_the_history(localnet: Localnet) -> None:
    signature = localnet.airdrop(Keypair().pubkey())
    localnet.control.advance(slots=299)
    assert status(localnet, signature) is not None
    localnet.control.advance(slots=10)
    assert status(localnet, signature) is None
    assert status(localnet, signature, history=True)["confirmationStatus"] == "finalized"


def test_signatures_are_paged_newest_first(localnet: Localnet) -> None:
    wallet = Keypair().pubkey()
    sent = []
    for _ in range(3):
        # Several in one slot: their order in the block counts.
        sent += [localnet.result("requestAirdrop", str(wallet), SOL) for _ in range(3)]
        localnet.control.advance()
    newest_first = sent[::-1]

    def page(**options: object) -> list[str]:
        wanted = {"commitment": "confirmed", **options}
        rows = localnet.result("getSignaturesForAddress", str(wallet), wanted)
        return [row["signature"] for row in rows]

    assert page() == newest_first
    assert page(limit=2) == newest_first[:2]
    assert page(limit=2, before=newest_first[1]) == newest_first[2:4]
    assert page(before=newest_first[3], until=newest_first[7]) == newest_first[4:7]
    unknown = str(Keypair().sign_message(b""))
    assert page(before=unknown) == []
    assert page(until=unknown) == newest_first
    assert page(commitment="finalized") == []
    rows = localnet.result(
        "getSignaturesForAddress", str(wallet), {"commitment": "confirmed", "limit": 4}
    )
    assert [row["transactionIndex"] for row in rows] == [2, 1, 0, 2]
    shown = localnet.result(
        "getTransaction",
        newest_first[0],
        {"commitment": "confirmed", "maxSupportedTransactionVersion": 0},
    )
    assert shown["transactionIndex"] == 2


def test_blocks_link_to_their_parents(localnet: Localnet) -> None:
    signature = localnet.airdrop(Keypair().pubkey())
    localnet.control.finalize()
    slot = status(localnet, signature)["slot"]
    options = {"maxSupportedTransactionVersion": 0, "encoding": "base64"}
    block = localnet.result("getBlock", slot, options)
    parent = localnet.result("getBlock", slot - 1, {**options, "transactionDetails": "none"})
    assert block["previousBlockhash"] == parent["blockhash"]
    assert block["parentSlot"] == slot - 1
    assert len(block["transactions"]) == 1
    signatures = localnet.result("getBlock", slot, {"transactionDetails": "signatures"})
    assert signatures["signatures"] == [signature]
    assert localnet.result("getBlocks", slot - 2, slot) == [slot - 2, slot - 1, slot]
    assert localnet.result("getBlocksWithLimit", 0, 3) == [0, 1, 2]
    ahead = localnet.rpc("getBlock", slot + 100)
    assert ahead["error"]["code"] == -32004


@pytest.mark.parametrize("method", ["getSignaturesForAddress", "getTransaction"])
def test_history_is_not_read_at_processed(localnet: Localnet, method: str) -> None:
    signature = localnet.airdrop(Keypair().pubkey())
    what = signature if method == "getTransaction" else str(localnet.program)
    error = localnet.rpc(method, what, {"commitment": "processed"})["error"]
    assert error == {
        "code": -32602,
        "message": "Method does not support commitment below `confirmed`",
    }


def test_same_seed_and_same_transactions_give_the_same_chain(start_localnet: StartLocalnet) -> None:
    def act(chain: Localnet) -> tuple[object, ...]:
        chain.airdrop(Keypair.from_seed(bytes(32)).pubkey())
        chain.control.advance(slots=3, seconds=100)
        status = chain.control.status()
        latest = chain.result("getLatestBlockhash", {"commitment": "processed"})["value"]
        rows = chain.result("getSignaturesForAddress", str(chain.keys["admin"].pubkey()))
        del status["state"]
        return status, latest, rows

    first = act(start_localnet())
    assert act(start_localnet()) == first
    assert act(start_localnet("--seed", "8"))[1] != first[1]
