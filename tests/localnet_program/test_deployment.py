"""The program passes the strict checks of a deployment, not only the lenient ones of a load."""

import struct

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import FeatureSet, LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from localnet.program import PROGRAM_SO
from tests.localnet_program import wire
from tests.localnet_program.wire import account
from tests.localnet_program.world import SOL, World, key

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
RENT_SYSVAR = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK_SYSVAR = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
NO_NEW_DEPLOYMENTS = Pubkey.from_string("EmhbpdVtZ2hWRGFWBDjn2i3SJD8Z36z4mpMcZJEnebnP")
PROGRAM, BUFFER, AUTHORITY = key(240), key(241).pubkey(), key(242)
PROGRAM_ACCOUNT_SIZE, BUFFER_HEADER_SIZE, PROGRAM_DATA_HEADER_SIZE = 36, 37, 45


def deploying_world() -> World:
    world = World()
    features = FeatureSet.all_enabled()
    active = [feature for feature in features.active if feature != NO_NEW_DEPLOYMENTS]
    chosen = FeatureSet(active=dict.fromkeys(active, 0), inactive={NO_NEW_DEPLOYMENTS})
    world.svm = LiteSVM().with_builtins(chosen)
    world.svm.airdrop(AUTHORITY.pubkey(), 1_000 * SOL)
    for person in (world.admin, world.backend):
        world.svm.airdrop(person.pubkey(), SOL)
    world.set_time(world.now)
    return world


def deploy(world: World, program: bytes) -> TransactionMetadata | FailedTransactionMetadata:
    header = struct.pack("<IB", 1, 1) + bytes(AUTHORITY.pubkey())
    world.put(BUFFER, header + program, LOADER, 10 * SOL)
    payer = AUTHORITY.pubkey()
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer,
            to_pubkey=PROGRAM.pubkey(),
            lamports=SOL,
            space=PROGRAM_ACCOUNT_SIZE,
            owner=LOADER,
        )
    )
    data_at = Pubkey.find_program_address([bytes(PROGRAM.pubkey())], LOADER)[0]
    metas = [
        account(payer, "sw"),
        account(data_at, "w"),
        account(PROGRAM.pubkey(), "w"),
        account(BUFFER, "w"),
        account(RENT_SYSVAR),
        account(CLOCK_SYSVAR),
        account(wire.SYSTEM),
        account(payer, "s"),
    ]
    run = Instruction(LOADER, struct.pack("<IQ", 2, len(program)), metas)
    signers: list[Keypair] = [AUTHORITY, PROGRAM]
    message = Message([create, run], payer)
    return world.svm.send_transaction(Transaction(signers, message, world.svm.latest_blockhash()))


def test_it_deploys_and_runs() -> None:
    world = deploying_world()
    done = deploy(world, PROGRAM_SO.read_bytes())
    assert isinstance(done, TransactionMetadata), done
    world.svm.warp_to_slot(10)
    config = wire.address(b"global-config", program=PROGRAM.pubkey())[0]
    metas = [
        account(world.admin.pubkey(), "sw"),
        account(config, "w"),
        account(world.fee_wallet),
        account(wire.SYSTEM),
    ]
    ix = wire.instruction("initialize_global_config", metas, bytes(world.backend.pubkey()))
    outcome = world.send(Instruction(PROGRAM.pubkey(), bytes(ix.data), metas), world.admin)
    assert outcome.ok, outcome.logs
    assert len(outcome.events) == 1


def test_the_checks_are_strict() -> None:
    """A file that is out of order in one number is refused, so the test above means something."""
    program = bytearray(PROGRAM_SO.read_bytes())
    program[0x18] |= 4  # the entry point, no longer at an instruction
    refused = deploy(deploying_world(), bytes(program))
    assert isinstance(refused, FailedTransactionMetadata)
    assert "Invalid entrypoint" in refused.meta().logs()
