"""What the backend's keys sign, what they refuse, and that the secret stays inside."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageHeader, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from zmart_pipelines.chain.signer import (
    SIGNABLE,
    KeyFileError,
    KeypairSigner,
    SigningRefused,
    guard,
    read_keypair,
)
from zmart_pipelines.chain.transaction_builder import (
    MAX_TRANSACTION_BYTES,
    BuildError,
    build_transaction,
    signature_of,
    unsigned_transaction,
)
from zmart_pipelines.program import instructions
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID, MEMO_PROGRAM

PROGRAM = DEFAULT_PROGRAM_ID
KEY = Keypair.from_seed(bytes(range(32)))
US, OTHER = KEY.pubkey(), Pubkey(b"\x02" * 32)
MARKET = Pubkey(b"\x03" * 32)
HASH = Hash(b"\x05" * 32)
CID = b"Q" * 46

AGGREGATE = instructions.aggregate_proposal_votes(
    PROGRAM, backend_authority=US, market=MARKET, likes=7, dislikes=3
)
FINALIZE = instructions.finalize_market(
    PROGRAM, backend_authority=US, market=MARKET, dispute_agree=6, dispute_disagree=4
)
APPROVE = instructions.approve_proposal(PROGRAM, admin=US, market=MARKET)
ACTIVATE = instructions.activate_market(PROGRAM, authority=US, market=MARKET)
RESOLVE = instructions.resolve_market(
    PROGRAM, resolver=US, market=MARKET, outcome=True, evidence_hash=CID
)
BUDGET = [set_compute_unit_limit(40_000), set_compute_unit_price(1)]
MEMO = Instruction(MEMO_PROGRAM, b"tally", [])


def message(*chosen: Instruction, payer: Pubkey = US) -> bytes:
    return to_bytes_versioned(MessageV0.try_compile(payer, list(chosen), [], HASH))


@pytest.mark.parametrize(
    ("instruction", "name"),
    [
        (AGGREGATE, "aggregate_proposal_votes"),
        (FINALIZE, "finalize_market"),
        (APPROVE, "approve_proposal"),
        (ACTIVATE, "activate_market"),
        (RESOLVE, "resolve_market"),
    ],
)
def test_five_signable_actions_are_signed(instruction: Instruction, name: str) -> None:
    signer = KeypairSigner(KEY, PROGRAM)
    for signed in (message(instruction), message(*BUDGET, instruction, MEMO)):
        assert guard(signed, PROGRAM, US) == name
        assert signer.sign(signed).verify(US, signed)


OTHERS_OF_THE_PROGRAM = [
    instructions.aggregate_dispute_votes(
        PROGRAM, backend_authority=US, market=MARKET, agrees=1, disagrees=2
    ),
    instructions.update_global_config(
        PROGRAM,
        admin=US,
        protocol_fee_bps=1,
        resolver_reward_bps=1,
        liquidity_provider_fee_bps=1,
        proposal_approval_threshold=1,
        dispute_success_threshold=1,
    ),
    instructions.emergency_pause(PROGRAM, admin=US),
    instructions.cancel_market(PROGRAM, admin=US, market=MARKET),
    instructions.initialize_global_config(
        PROGRAM, admin=US, backend_authority=US, protocol_fee_wallet=US
    ),
    instructions.create_market(
        PROGRAM,
        creator=US,
        market_id=bytes(32),
        b_parameter=1,
        initial_liquidity=1,
        question_hash=CID,
    ),
    instructions.submit_proposal_vote(PROGRAM, user=US, market=MARKET, vote=True),
    instructions.submit_dispute_vote(PROGRAM, user=US, market=MARKET, vote=True),
    instructions.buy_shares(
        PROGRAM, user=US, market=MARKET, protocol_fee_wallet=US, outcome=True, target_cost=1
    ),
    instructions.sell_shares(
        PROGRAM,
        user=US,
        market=MARKET,
        protocol_fee_wallet=US,
        outcome=True,
        shares=1,
        min_proceeds=1,
    ),
    instructions.initiate_dispute(PROGRAM, initiator=US, market=MARKET),
    instructions.claim_winnings(PROGRAM, user=US, market=MARKET, resolver=US),
    instructions.withdraw_liquidity(PROGRAM, creator=US, market=MARKET),
]


def test_nothing_else_of_the_program_is_signed() -> None:
    assert len(OTHERS_OF_THE_PROGRAM) + len(SIGNABLE) == 18
    for instruction in OTHERS_OF_THE_PROGRAM:
        with pytest.raises(SigningRefused, match="is not allowed"):
            guard(message(instruction), PROGRAM, US)


def changed(instruction: Instruction, data: bytes) -> Instruction:
    return Instruction(instruction.program_id, data, instruction.accounts)


NONCE = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=OTHER, authorized_pubkey=US))
TRANSFER = transfer(TransferParams(from_pubkey=US, to_pubkey=OTHER, lamports=1))
SECOND_SIGNER = instructions.finalize_market(PROGRAM, backend_authority=OTHER, market=MARKET)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ([], "0 instructions of the program, there must be one"),
        ([*BUDGET, MEMO], "0 instructions of the program"),
        ([AGGREGATE, AGGREGATE], "2 instructions of the program"),
        ([AGGREGATE, APPROVE], "2 instructions of the program"),
        ([AGGREGATE, TRANSFER], "instructions of 11111111111111111111111111111111 are not"),
        ([NONCE, AGGREGATE], "durable nonces are not allowed"),
        ([AGGREGATE, Instruction(OTHER, b"", [])], f"instructions of {OTHER} are not allowed"),
        ([changed(AGGREGATE, b"")], "unknown instruction of the program"),
        ([changed(AGGREGATE, b"\0" * 16)], "unknown instruction of the program"),
        ([changed(AGGREGATE, bytes(AGGREGATE.data)[:-1])], "unknown instruction of the program"),
        ([changed(AGGREGATE, bytes(AGGREGATE.data) + b"\0")], "trailing bytes after its arguments"),
        ([SECOND_SIGNER], "additional signers are not allowed"),
        (
            [AGGREGATE, Instruction(MEMO_PROGRAM, b"", [AccountMeta(OTHER, True, False)])],
            "additional signers are not allowed",
        ),
    ],
)
def test_refused(chosen: list[Instruction], reason: str) -> None:
    with pytest.raises(SigningRefused, match=reason):
        guard(message(*chosen), PROGRAM, US)


def test_another_fee_payer_is_refused() -> None:
    with pytest.raises(SigningRefused, match=f"the fee payer is {OTHER}, not {US}"):
        guard(message(AGGREGATE, payer=OTHER), PROGRAM, US)


def test_another_program_is_refused() -> None:
    with pytest.raises(SigningRefused, match=f"instructions of {PROGRAM} are not allowed"):
        guard(message(AGGREGATE), OTHER, US)


def test_lookup_tables_are_refused() -> None:
    table = AddressLookupTableAccount(Pubkey(b"\x09" * 32), [MARKET])
    with_table = MessageV0.try_compile(US, [AGGREGATE], [table], HASH)
    assert with_table.address_table_lookups
    with pytest.raises(SigningRefused, match="lookup tables are not allowed"):
        guard(to_bytes_versioned(with_table), PROGRAM, US)


def test_legacy_messages_are_refused() -> None:
    legacy = Message.new_with_blockhash([AGGREGATE], US, HASH)
    with pytest.raises(SigningRefused, match="not a version-0 message"):
        guard(bytes(legacy), PROGRAM, US)


def test_trailing_bytes_after_the_message_are_refused() -> None:
    with pytest.raises(SigningRefused, match="trailing bytes after the message"):
        guard(message(AGGREGATE) + b"\0", PROGRAM, US)


def test_invalid_messages_are_refused() -> None:
    sound = MessageV0.try_compile(US, [AGGREGATE], [], HASH)
    for instruction in (CompiledInstruction(200, b"", b""), CompiledInstruction(0, b"", b"")):
        unsound = MessageV0(MessageHeader(1, 0, 1), sound.account_keys, HASH, [instruction], [])
        with pytest.raises(SigningRefused, match="not a valid message"):
            guard(to_bytes_versioned(unsound), PROGRAM, US)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    for candidate in (data, b"\x80" + data):
        with pytest.raises(SigningRefused):
            guard(candidate, PROGRAM, US)


@given(st.data())
def test_damaged_messages_are_refused_or_the_same_action(data: st.DataObject) -> None:
    good = message(*BUDGET, AGGREGATE)
    place = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:place] + data.draw(st.binary(max_size=3)) + good[place + 1 :]
    try:
        assert guard(damaged, PROGRAM, US) in SIGNABLE
    except SigningRefused:
        return


def test_a_signer_can_be_narrowed() -> None:
    backend = KeypairSigner(KEY, PROGRAM, {"aggregate_proposal_votes", "finalize_market"})
    backend.sign(message(FINALIZE))
    with pytest.raises(SigningRefused, match="approve_proposal is not allowed"):
        backend.sign(message(APPROVE))
    with pytest.raises(ValueError, match="not signable: aggregate_dispute_votes"):
        KeypairSigner(KEY, PROGRAM, {"finalize_market", "aggregate_dispute_votes"})


# A key whose secret is easy to find in any text.
SENTINEL = Keypair.from_seed(b"sentinel" * 4)
FORMS = [
    str(SENTINEL),
    json.dumps(list(bytes(SENTINEL)))[1:40],
    bytes(SENTINEL).hex()[:40],
    repr(bytes(SENTINEL))[2:20],
    "sentinelsentinel",
]


def assert_silent(text: str) -> None:
    assert not [form for form in FORMS if form in text]


def key_file(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


SECRET_NUMBERS = json.dumps(list(bytes(SENTINEL)))


def test_a_key_file(tmp_path: Path) -> None:
    path = key_file(tmp_path / "key.json", SECRET_NUMBERS)
    assert KeypairSigner.from_file(path, PROGRAM).pubkey() == SENTINEL.pubkey()
    assert read_keypair(path) == SENTINEL
    path.chmod(0o400)
    assert read_keypair(path) == SENTINEL


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o601])
def test_key_file_readable_by_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "key.json", SECRET_NUMBERS, mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o} .* run: chmod 600 {path}"):
        KeypairSigner.from_file(path, PROGRAM)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        SECRET_NUMBERS[:-6] + "]",
        SECRET_NUMBERS[:-1] + ", 1]",
        SECRET_NUMBERS.replace("[", "[999, ", 1),
        SECRET_NUMBERS.replace("]", ', "x"]'),
        str(SENTINEL),
        b"\xff" + SECRET_NUMBERS.encode(),
        "[" * 3000,
        json.dumps([*bytes(SENTINEL)[:-1], bytes(SENTINEL)[-1] ^ 1]),
    ],
)
def test_a_file_without_a_key(tmp_path: Path, content: str | bytes) -> None:
    path = key_file(tmp_path / "key.json", content)
    with pytest.raises(KeyFileError, match="not a key file") as error:
        KeypairSigner.from_file(path, PROGRAM)
    assert_silent("".join(traceback.format_exception(error.value)) + repr(error.value))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeypairSigner.from_file(tmp_path / "none.json", PROGRAM)
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeypairSigner.from_file(tmp_path, PROGRAM)


def test_a_key_in_base58() -> None:
    signer = KeypairSigner.from_base58(f" {SENTINEL}\n", PROGRAM)
    assert signer.pubkey() == SENTINEL.pubkey()
    for text in ("", "0OIl", str(SENTINEL)[:-1], str(SENTINEL) + "1", "é" * 88, "1" * 9999):
        with pytest.raises(KeyFileError) as error:
            KeypairSigner.from_base58(text, PROGRAM)
        assert_silent("".join(traceback.format_exception(error.value)) + repr(error.value))


def test_secret_is_never_exposed() -> None:
    signer = KeypairSigner(SENTINEL, PROGRAM)
    assert_silent(f"{signer!r} {signer} {[signer]}")
    assert str(signer.pubkey()) in repr(signer)
    with pytest.raises(SigningRefused) as error:
        signer.sign(message(AGGREGATE))
    assert_silent("".join(traceback.format_exception(error.value)) + repr(error.value))
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a signer cannot be serialized"):
            copying(signer)
    with pytest.raises(TypeError):
        vars(signer)


def test_building_and_signing() -> None:
    signer = KeypairSigner(KEY, PROGRAM)
    data = build_transaction(US, [*BUDGET, AGGREGATE], HASH, [signer])
    parsed = VersionedTransaction.from_bytes(data)
    assert parsed.verify_with_results() == [True]
    assert signature_of(data) == bytes(parsed.signatures[0])
    assert guard(to_bytes_versioned(parsed.message), PROGRAM, US) == "aggregate_proposal_votes"


def test_several_signers_in_any_order() -> None:
    payer, user = Keypair.from_seed(b"\x01" * 32), Keypair.from_seed(b"\x02" * 32)
    vote = instructions.submit_proposal_vote(PROGRAM, user=user.pubkey(), market=MARKET, vote=True)
    for signers in ([payer, user], [user, payer]):
        data = build_transaction(payer.pubkey(), [vote], HASH, signers)
        assert VersionedTransaction.from_bytes(data).verify_with_results() == [True, True]
    with pytest.raises(BuildError, match=f"the signature of {user.pubkey()} is required"):
        build_transaction(payer.pubkey(), [vote], HASH, [payer])


def test_a_wallet_signs_the_unsigned_transaction() -> None:
    user = Keypair.from_seed(b"\x02" * 32)
    vote = instructions.submit_proposal_vote(PROGRAM, user=user.pubkey(), market=MARKET, vote=True)
    unsigned = VersionedTransaction.from_bytes(unsigned_transaction(user.pubkey(), [vote], HASH))
    assert unsigned.verify_with_results() == [False]
    signed = VersionedTransaction(unsigned.message, [user])
    assert bytes(signed) == build_transaction(user.pubkey(), [vote], HASH, [user])


def test_transactions_larger_than_a_packet_are_refused() -> None:
    long = Instruction(MEMO_PROGRAM, b"x" * MAX_TRANSACTION_BYTES, [])
    with pytest.raises(BuildError, match=f"more than {MAX_TRANSACTION_BYTES}"):
        unsigned_transaction(US, [long], HASH)
    many = [Instruction(Pubkey(bytes([n]) * 32), b"", []) for n in range(60)]
    with pytest.raises(BuildError):
        unsigned_transaction(US, many, HASH)
