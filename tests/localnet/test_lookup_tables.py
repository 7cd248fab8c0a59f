"""Addresses from lookup tables are loaded, returned, and indexed in the history."""

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, blockhash, funded, pay, send, signed
from zmart_pipelines.program.ids import SYSTEM_PROGRAM

TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
SHOWN = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}


def make_table(chain: Localnet, owner: Keypair, *addresses: Pubkey) -> Pubkey:
    slot: int = chain.result("getSlot", {"commitment": "confirmed"})
    wallet = owner.pubkey()
    table, bump = Pubkey.find_program_address([bytes(wallet), slot.to_bytes(8, "little")], TABLES)
    accounts = [
        AccountMeta(table, is_signer=False, is_writable=True),
        AccountMeta(wallet, is_signer=True, is_writable=False),
        AccountMeta(wallet, is_signer=True, is_writable=True),
        AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
    ]
    create = bytes(4) + slot.to_bytes(8, "little") + bytes([bump])
    extend = (2).to_bytes(4, "little") + len(addresses).to_bytes(8, "little")
    extend += b"".join(map(bytes, addresses))
    both = [Instruction(TABLES, create, accounts), Instruction(TABLES, extend, accounts)]
    assert "result" in send(chain, signed(both, owner, blockhash(chain)))
    return table


def paying(chain: Localnet, wallet: Keypair, to: Pubkey, table: Pubkey) -> VersionedTransaction:
    message = MessageV0.try_compile(
        wallet.pubkey(),
        [pay(wallet, to, SOL)],
        [AddressLookupTableAccount(table, [Pubkey.default(), to])],
        blockhash(chain),
    )
    assert len(message.address_table_lookups) == 1
    return VersionedTransaction(message, [wallet])


def test_transfer_to_an_address_from_a_table(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    table = make_table(localnet, wallet, Pubkey.new_unique(), to)
    early = send(localnet, paying(localnet, wallet, to, table))["error"]
    assert early["data"]["err"] == "InvalidAddressLookupTableIndex"
    localnet.control.advance(slots=2)
    tx = paying(localnet, wallet, to, table)
    assert send(localnet, tx, preflightCommitment="confirmed")["result"]
    localnet.control.advance()
    assert localnet.result("getBalance", str(to), {"commitment": "confirmed"})["value"] == SOL
    shown = localnet.result("getTransaction", str(tx.signatures[0]), SHOWN)
    assert shown["meta"]["loadedAddresses"] == {"writable": [str(to)], "readonly": []}
    assert shown["meta"]["postBalances"][-1] == SOL
    lookups = shown["transaction"]["message"]["addressTableLookups"]
    assert lookups == [{"accountKey": str(table), "writableIndexes": [1], "readonlyIndexes": []}]
    parsed = localnet.result(
        "getTransaction", str(tx.signatures[0]), {**SHOWN, "encoding": "jsonParsed"}
    )
    assert parsed["transaction"]["message"]["accountKeys"][-1] == {
        "pubkey": str(to),
        "signer": False,
        "writable": True,
        "source": "lookupTable",
    }
    rows = localnet.result("getSignaturesForAddress", str(to), {"commitment": "confirmed"})
    assert [row["signature"] for row in rows] == [str(tx.signatures[0])]
    localnet.restart(kill=True)
    assert localnet.result("getBalance", str(to), {"commitment": "confirmed"})["value"] == SOL


@pytest.mark.parametrize(
    ("table", "error"),
    [
        (Keypair().pubkey(), "AddressLookupTableNotFound"),
        (None, "InvalidAddressLookupTableOwner"),
    ],
)
def test_invalid_tables_are_refused(localnet: Localnet, table: Pubkey | None, error: str) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    tx = paying(localnet, wallet, to, table or localnet.keys["fee"].pubkey())
    assert send(localnet, tx)["error"]["data"]["err"] == error
    localnet.control.advance()
    assert send(localnet, tx, skipPreflight=True)["result"]
    rows = localnet.result("getSignaturesForAddress", str(to), {"commitment": "confirmed"})
    assert rows == []
