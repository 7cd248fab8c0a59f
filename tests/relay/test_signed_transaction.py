"""Which signed transactions are relayed, and what each other one is refused for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from tests.relay.signed_transactions import create_market, memo, signed
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.relay.signed_transaction import MAX_BYTES, NotRelayed, parse_signed

WALLET, OTHER = Keypair.from_seed(bytes(32)), Keypair.from_seed(bytes([1]) * 32)
OURS = create_market(WALLET, bytes(32))
TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")


def refusal(data: bytes) -> str:
    with pytest.raises(NotRelayed) as refused:
        parse_signed(data, DEFAULT_PROGRAM_ID)
    return str(refused.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_own_instructions_with_fee_and_memo_are_relayed(legacy: bool) -> None:
    wanted = [set_compute_unit_limit(200_000), set_compute_unit_price(5), OURS, memo()]
    data = signed(WALLET, wanted, legacy=legacy)
    parsed = parse_signed(data, DEFAULT_PROGRAM_ID)
    assert parsed.data == data
    assert parsed.signature == data[1:65]
    assert parsed.fee_payer == bytes(WALLET.pubkey())
    assert parsed.instructions == ("create_market",)


def test_fee_may_be_paid_by_another_wallet_that_signs() -> None:
    parsed = parse_signed(signed(OTHER, [OURS], signers=[WALLET]), DEFAULT_PROGRAM_ID)
    assert parsed.fee_payer == bytes(OTHER.pubkey())


def _transfer() -> Instruction:
    return transfer(
        TransferParams(from_pubkey=WALLET.pubkey(), to_pubkey=OTHER.pubkey(), lamports=1)
    )


def _nonce() -> Instruction:
    return advance_nonce_account(
        AdvanceNonceAccountParams(nonce_pubkey=OTHER.pubkey(), authorized_pubkey=WALLET.pubkey())
    )


def _token() -> Instruction:
    return Instruction(TOKEN_PROGRAM, b"\x03", [AccountMeta(WALLET.pubkey(), True, True)])


def _in_table() -> bytes:
    """The instruction's other accounts are loaded from a table."""
    addresses = [meta.pubkey for meta in OURS.accounts if not meta.is_signer]
    table = AddressLookupTableAccount(OTHER.pubkey(), addresses)
    message = MessageV0.try_compile(WALLET.pubkey(), [OURS], [table], Hash.default())
    assert message.address_table_lookups
    return bytes(VersionedTransaction(message, [WALLET]))


def _unsigned_by(second: bool) -> bytes:
    message = MessageV0.try_compile(OTHER.pubkey(), [OURS], [], Hash.default())
    complete = VersionedTransaction(message, [OTHER, WALLET]).signatures
    kept = [complete[0], Signature.default()] if second else [Signature.default(), complete[1]]
    return bytes(VersionedTransaction.populate(message, kept))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(lambda: signed(WALLET, [_transfer()]), "is of program 1111", id="system"),
        pytest.param(lambda: signed(WALLET, [OURS, _transfer()]), "instruction 1 is", id="beside"),
        pytest.param(lambda: signed(WALLET, [_token(), OURS]), str(TOKEN_PROGRAM), id="token"),
        pytest.param(lambda: signed(WALLET, [memo()]), "has no instruction", id="only a memo"),
        pytest.param(lambda: signed(WALLET, []), "has no instruction", id="nothing"),
        pytest.param(lambda: signed(WALLET, [_nonce(), OURS]), "durable nonce", id="nonce"),
        pytest.param(
            lambda: signed(WALLET, [Instruction(DEFAULT_PROGRAM_ID, b"unknown!", [])]),
            "none of the program's",
            id="unknown instruction",
        ),
        pytest.param(
            lambda: signed(WALLET, [Instruction(DEFAULT_PROGRAM_ID, b"", [])]),
            "none of the program's",
            id="no instruction data",
        ),
        pytest.param(_in_table, "lookup tables", id="lookup table"),
        pytest.param(lambda: _unsigned_by(second=True), "missing", id="second not signed"),
        pytest.param(lambda: _unsigned_by(second=False), "missing", id="payer not signed"),
        pytest.param(lambda: signed(WALLET, [OURS]) + b"\0", "no bytes after", id="bytes after"),
        pytest.param(lambda: signed(WALLET, [OURS])[:-1], "serialized", id="cut"),
        pytest.param(lambda: b"", "serialized", id="empty"),
        pytest.param(
            lambda: signed(WALLET, [OURS, memo(b"x" * 1000)]), f"{MAX_BYTES} bytes", id="too long"
        ),
        pytest.param(
            lambda: (data := signed(WALLET, [OURS]))[:65] + b"\x81" + data[66:],
            "serialized",
            id="version 1",
        ),
    ],
)
def test_other_transactions_are_refused(data: Callable[[], bytes], reason: str) -> None:
    assert reason in refusal(data())


def test_instructions_of_another_deployment_are_foreign() -> None:
    with pytest.raises(NotRelayed, match="is of program"):
        parse_signed(signed(WALLET, [OURS]), TOKEN_PROGRAM)


COMPLETE = signed(WALLET, [OURS, memo()])


@given(st.integers(0, len(COMPLETE) * 8 - 1))
def test_no_bit_can_be_changed(bit: int) -> None:
    changed = bytearray(COMPLETE)
    changed[bit // 8] ^= 1 << bit % 8
    refusal(bytes(changed))


@given(st.binary(max_size=MAX_BYTES + 10))
def test_any_bytes_are_refused_with_a_reason(data: bytes) -> None:
    assert refusal(data)
