"""Which transactions a bank accepts, their fees, and refusals by the preflight."""

import base64

import pytest
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, blockhash, encoded, funded, pay, send, signed, status
from zmart_pipelines.program import instructions
from zmart_pipelines.program.ids import MEMO_PROGRAM

PROCESSED = {"commitment": "processed"}
CONFIRMED = {"commitment": "confirmed"}


def balance(chain: Localnet, address: Pubkey, commitment: str = "processed") -> int:
    value: int = chain.result("getBalance", str(address), {"commitment": commitment})["value"]
    return value


@pytest.mark.parametrize("legacy", [True, False])
def test_transfer_moves_lamports_and_costs_5000_a_signature(
    localnet: Localnet, legacy: bool
) -> None:
    wallet, other, to = funded(localnet), funded(localnet), Keypair().pubkey()
    both = [pay(wallet, to, SOL), pay(other, to, SOL)]
    tx = signed(both, wallet, blockhash(localnet), other, legacy=legacy)
    assert send(localnet, tx)["result"] == str(tx.signatures[0])
    assert balance(localnet, to) == 2 * SOL
    assert balance(localnet, wallet.pubkey()) == 9 * SOL - 10_000
    assert balance(localnet, to, "confirmed") == 0
    localnet.control.advance()
    assert balance(localnet, to, "confirmed") == 2 * SOL
    shown = localnet.result(
        "getTransaction",
        str(tx.signatures[0]),
        {"commitment": "confirmed", "maxSupportedTransactionVersion": 0, "encoding": "base64"},
    )
    assert shown["transaction"] == [encoded(tx), "base64"]
    assert shown["version"] == ("legacy" if legacy else 0)
    meta = shown["meta"]
    assert meta["fee"] == 10_000
    keys = [str(key) for key in tx.message.account_keys]
    before = dict(zip(keys, meta["preBalances"], strict=True))
    after = dict(zip(keys, meta["postBalances"], strict=True))
    assert before[str(to)] == 0
    assert after[str(to)] == 2 * SOL
    assert sum(before.values()) - sum(after.values()) == 10_000


def test_v0_transaction_is_returned_only_to_clients_that_support_it(localnet: Localnet) -> None:
    wallet = funded(localnet)
    tx = signed([pay(wallet, wallet.pubkey(), 1)], wallet, blockhash(localnet))
    send(localnet, tx)
    localnet.control.advance()
    body = localnet.rpc("getTransaction", str(tx.signatures[0]), CONFIRMED)
    assert body["error"]["code"] == -32015


def test_priority_fee_is_price_times_limit_rounded_up(localnet: Localnet) -> None:
    wallet = funded(localnet)
    priced = [set_compute_unit_limit(10_001), set_compute_unit_price(1_000)]
    tx = signed([*priced, pay(wallet, wallet.pubkey(), 1)], wallet, blockhash(localnet))
    send(localnet, tx)
    assert balance(localnet, wallet.pubkey()) == 10 * SOL - 5_000 - 11


def test_failed_transaction_lands_with_its_fee_and_logs(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    tx = signed([pay(wallet, to, 50 * SOL)], wallet, blockhash(localnet))
    assert send(localnet, tx, skipPreflight=True)["result"]
    assert balance(localnet, wallet.pubkey()) == 10 * SOL - 5_000
    localnet.control.advance()
    error = {"InstructionError": [0, {"Custom": 1}]}
    known = status(localnet, str(tx.signatures[0]))
    assert known["err"] == error
    assert known["status"] == {"Err": error}
    rows = localnet.result("getSignaturesForAddress", str(to), CONFIRMED)
    assert [row["err"] for row in rows] == [error]
    shown = localnet.result(
        "getTransaction",
        str(tx.signatures[0]),
        {**CONFIRMED, "maxSupportedTransactionVersion": 0},
    )
    assert shown["meta"]["logMessages"][-1].endswith("failed: custom program error: 0x1")


def test_refused_preflight_has_the_shape_clients_read(localnet: Localnet) -> None:
    wallet, market = funded(localnet), Keypair().pubkey()
    approve = instructions.approve_proposal(localnet.program, admin=wallet.pubkey(), market=market)
    tx = signed([approve], wallet, blockhash(localnet))
    error = send(localnet, tx)["error"]
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0xbc4"
    )
    data = error["data"]
    assert data["err"] == {"InstructionError": [0, {"Custom": 3012}]}
    assert data["logs"][0] == f"Program {localnet.program} invoke [1]"
    assert data["unitsConsumed"] > 0
    assert data["accounts"] is None
    assert data["returnData"] is None
    assert status(localnet, str(tx.signatures[0])) is None
    assert balance(localnet, wallet.pubkey()) == 10 * SOL


def test_preflight_uses_the_bank_of_its_commitment(localnet: Localnet) -> None:
    wallet = Keypair()
    localnet.airdrop(wallet.pubkey(), 10 * SOL)
    recent = blockhash(localnet, "finalized")
    tx = signed([pay(wallet, wallet.pubkey(), 1)], wallet, recent)
    refused = send(localnet, tx, preflightCommitment="finalized")["error"]
    assert refused["data"]["err"] == "AccountNotFound"
    newer = signed([pay(wallet, wallet.pubkey(), 1)], wallet, blockhash(localnet, "confirmed"))
    refused = send(localnet, newer, preflightCommitment="finalized")["error"]
    assert refused["data"]["err"] == "BlockhashNotFound"
    assert "result" in send(localnet, newer, preflightCommitment="confirmed")
    # The simulation on the old bank left no trace on the new one.
    assert balance(localnet, wallet.pubkey()) == 10 * SOL - 5_000


def test_simulation_on_an_old_bank_does_not_change_the_new_one(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    localnet.control.finalize()
    localnet.airdrop(wallet.pubkey(), 5 * SOL)
    recent = blockhash(localnet, "finalized")
    tx = signed([pay(wallet, to, 12 * SOL)], wallet, recent)
    refused = send(localnet, tx, preflightCommitment="finalized")["error"]
    assert refused["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert "result" in send(localnet, tx, preflightCommitment="confirmed")
    assert balance(localnet, to) == 12 * SOL
    assert balance(localnet, wallet.pubkey()) == 3 * SOL - 5_000


def test_same_transaction_is_processed_once(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    tx = signed([pay(wallet, to, SOL)], wallet, blockhash(localnet))
    assert "result" in send(localnet, tx)
    for _ in range(2):
        refused = send(localnet, tx)["error"]
        assert refused["message"] == (
            "Transaction simulation failed: This transaction has already been processed"
        )
        assert refused["data"]["err"] == "AlreadyProcessed"
        assert send(localnet, tx, skipPreflight=True)["result"] == str(tx.signatures[0])
        assert balance(localnet, to) == SOL
        localnet.control.advance(slots=20)
    localnet.restart(kill=True)
    assert send(localnet, tx)["error"]["data"]["err"] == "AlreadyProcessed"
    assert balance(localnet, to) == SOL


def test_blockhash_expires_after_150_blocks(localnet: Localnet) -> None:
    wallet = funded(localnet)
    latest = localnet.result("getLatestBlockhash", CONFIRMED)["value"]
    recent, last = Hash.from_string(latest["blockhash"]), latest["lastValidBlockHeight"]
    height = localnet.result("getBlockHeight", PROCESSED)
    localnet.control.advance(slots=last - height)
    assert localnet.result("getBlockHeight", PROCESSED) == last
    assert localnet.result("isBlockhashValid", str(recent), PROCESSED)["value"] is True
    in_time = signed([pay(wallet, wallet.pubkey(), 1)], wallet, recent)
    assert "result" in send(localnet, in_time)
    localnet.control.advance()
    assert localnet.result("isBlockhashValid", str(recent), PROCESSED)["value"] is False
    assert localnet.result("isBlockhashValid", str(recent), CONFIRMED)["value"] is True
    late = signed([pay(wallet, wallet.pubkey(), 2)], wallet, recent)
    assert send(localnet, late)["error"]["data"]["err"] == "BlockhashNotFound"
    assert send(localnet, late, skipPreflight=True)["result"] == str(late.signatures[0])
    assert status(localnet, str(late.signatures[0]), history=True) is None


def test_forged_signature_is_refused_and_never_runs(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    good = signed([pay(wallet, to, SOL)], wallet, blockhash(localnet))
    forged = VersionedTransaction.populate(good.message, [Signature.new_unique()])
    assert send(localnet, forged)["error"]["code"] == -32003
    assert "result" in send(localnet, forged, skipPreflight=True)
    assert balance(localnet, to) == 0


def test_transaction_larger_than_a_packet_is_refused(localnet: Localnet) -> None:
    wallet = funded(localnet)

    def memo(size: int) -> VersionedTransaction:
        write = Instruction(MEMO_PROGRAM, b"x" * size, [])
        limit = set_compute_unit_limit(1_400_000)
        return signed([limit, write], wallet, blockhash(localnet))

    room = 1232 - len(bytes(memo(200))) + 200
    assert len(bytes(memo(room))) == 1232
    assert "result" in send(localnet, memo(room))
    error = send(localnet, memo(room + 1))["error"]
    assert error["code"] == -32602
    assert "too large: 1233 bytes (max: 1232 bytes)" in error["message"]
    error = send(localnet, memo(room + 3))["error"]
    assert "too large: 1648 bytes (max: encoded/raw 1644/1232)" in error["message"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("!!!", "invalid base64 encoding"),
        ("AAAA", "failed to deserialize"),
        ("", "failed to deserialize"),
    ],
)
def test_malformed_transaction_is_refused_with_the_reason(
    localnet: Localnet, text: str, complaint: str
) -> None:
    error = localnet.rpc("sendTransaction", text, {"encoding": "base64"})["error"]
    assert error["code"] == -32602
    assert complaint in error["message"]


def test_accounts_must_stay_rent_exempt(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    recent = blockhash(localnet)
    short = signed([pay(wallet, to, 890_879)], wallet, recent)
    error = send(localnet, short)["error"]
    assert error["data"]["err"] == {"InsufficientFundsForRent": {"account_index": 1}}
    assert send(localnet, short, skipPreflight=True)["result"]
    assert balance(localnet, to) == 0
    assert balance(localnet, wallet.pubkey()) == 10 * SOL - 5_000
    assert "result" in send(localnet, signed([pay(wallet, to, 890_880)], wallet, recent))
    # A payer may be emptied, but not left with a rest below the minimum.
    rest = 10 * SOL - 890_880 - 3 * 5_000
    almost = signed([pay(wallet, to, rest - 1)], wallet, recent)
    error = send(localnet, almost)["error"]
    assert error["data"]["err"] == {"InsufficientFundsForRent": {"account_index": 0}}
    assert "result" in send(localnet, signed([pay(wallet, to, rest)], wallet, recent))
    assert balance(localnet, wallet.pubkey()) == 0
    assert localnet.result("getAccountInfo", str(wallet.pubkey()), PROCESSED)["value"] is None


def test_fee_payer_must_be_a_wallet_that_can_pay(localnet: Localnet) -> None:
    poor, holder, wallet = Keypair(), Keypair(), funded(localnet)
    recent = blockhash(localnet)
    error = send(localnet, signed([pay(poor, wallet.pubkey(), 1)], poor, recent))["error"]
    assert error["data"]["err"] == "AccountNotFound"
    make = create_account(
        CreateAccountParams(
            from_pubkey=wallet.pubkey(),
            to_pubkey=holder.pubkey(),
            lamports=SOL,
            space=10,
            owner=localnet.program,
        )
    )
    assert "result" in send(localnet, signed([make], wallet, recent, holder))
    error = send(localnet, signed([pay(holder, wallet.pubkey(), 1)], holder, recent))["error"]
    assert error["data"]["err"] == "InvalidAccountForFee"


def test_simulation_changes_nothing_and_returns_accounts_after(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    tx = signed([pay(wallet, to, SOL)], wallet, blockhash(localnet))
    value = localnet.result(
        "simulateTransaction",
        encoded(tx),
        {
            "encoding": "base64",
            "commitment": "confirmed",
            "sigVerify": True,
            "accounts": {"addresses": [str(to)], "encoding": "base64"},
        },
    )["value"]
    assert value["err"] is None
    assert value["unitsConsumed"] == 150
    assert value["accounts"][0]["lamports"] == SOL
    assert balance(localnet, to) == 0
    unsigned = VersionedTransaction.populate(tx.message, [Signature.default()])
    options = {"encoding": "base64", "commitment": "confirmed"}
    assert (
        localnet.result("simulateTransaction", encoded(unsigned), options)["value"]["err"] is None
    )
    error = localnet.rpc("simulateTransaction", encoded(unsigned), {**options, "sigVerify": True})[
        "error"
    ]
    assert error["code"] == -32003
    stale = signed([pay(wallet, to, SOL)], wallet, Hash.new_unique())
    value = localnet.result("simulateTransaction", encoded(stale), options)["value"]
    assert value["err"] == "BlockhashNotFound"
    value = localnet.result(
        "simulateTransaction", encoded(stale), {**options, "replaceRecentBlockhash": True}
    )["value"]
    assert value["err"] is None
    assert value["replacementBlockhash"]["blockhash"] == str(blockhash(localnet))


def test_memo_is_listed_with_the_signature(localnet: Localnet) -> None:
    wallet = funded(localnet)
    memo = Instruction(MEMO_PROGRAM, b"hello", [AccountMeta(wallet.pubkey(), True, False)])
    send(localnet, signed([memo], wallet, blockhash(localnet)))
    localnet.control.advance()
    rows = localnet.result("getSignaturesForAddress", str(wallet.pubkey()), CONFIRMED)
    assert [row["memo"] for row in rows] == ["[5] hello", None]


def test_unknown_program_never_lands(localnet: Localnet) -> None:
    wallet = funded(localnet)
    tx = signed([Instruction(Pubkey.new_unique(), b"", [])], wallet, blockhash(localnet))
    assert send(localnet, tx)["error"]["data"]["err"] == "ProgramAccountNotFound"
    assert send(localnet, tx, skipPreflight=True)["result"]
    assert status(localnet, str(tx.signatures[0])) is None


def test_hostile_messages_are_refused_and_the_node_survives(localnet: Localnet) -> None:
    """Indexes out of range, accounts named twice, a program as the payer's account."""
    wallet = funded(localnet)
    good = signed([pay(wallet, wallet.pubkey(), 1)], wallet, blockhash(localnet))
    wire = bytearray(bytes(good))
    head = 1 + 64 + 1 + 3  # signatures, version, header
    keys = wire[head]
    instruction = head + 1 + 32 * keys + 32 + 1
    broken = []
    for at, value in ((instruction, 200), (instruction + 2, 99), (66, 0), (66, 9), (68, 200)):
        one = bytearray(wire)
        one[at] = value
        broken.append(bytes(one))
    twice = bytearray(wire)
    twice[head + 1 + 32 : head + 1 + 64] = twice[head + 1 : head + 33]
    broken += [bytes(twice), bytes(wire[:-1]), bytes(wire[:40])]
    for bad in broken:
        text = base64.b64encode(bad).decode()
        for options in ({"encoding": "base64"}, {"encoding": "base64", "skipPreflight": True}):
            body = localnet.rpc("sendTransaction", text, options)
            assert body.get("error", {"code": 0})["code"] in (0, -32602, -32003), body
        body = localnet.rpc(
            "simulateTransaction", text, {"encoding": "base64", "replaceRecentBlockhash": True}
        )
        if "result" in body:
            assert body["result"]["value"]["err"] is not None
        else:
            assert body["error"]["code"] == -32602
    assert balance(localnet, wallet.pubkey()) == 10 * SOL
    assert "result" in send(localnet, good)
