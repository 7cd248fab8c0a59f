"""The first blocks of a chain: funded wallets and transactions that configure the program."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Final

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from localnet.accounts import SYSTEM, Account, Key
from localnet.blocks import Block
from localnet.options import Options
from localnet.transaction_errors import TxError
from localnet.wire_transaction import WireTransaction
from zmart_pipelines.program.instructions import initialize_global_config, update_global_config

SOL: Final = 1_000_000_000
_FUNDS: Final = {
    "admin": 1_000 * SOL,
    "backend": 1_000 * SOL,
    "fee": 1 * SOL,
    "faucet": 500_000_000 * SOL,
}
_FEES_BPS: Final = (300, 200, 500)
_THRESHOLDS_BPS: Final = (7_000, 6_000)
_MIN_RESOLUTION_DELAY: Final = 1


def genesis_block(options: Options, unix_time: int) -> Block:
    """Return slot 0, whose hash is the genesis hash, derived from the seed where there is one."""
    entropy = os.urandom(32) if options.seed is None else str(options.seed).encode()
    blockhash = hashlib.sha256(b"zmart localnet genesis" + entropy).digest()
    return Block(0, 0, 0, blockhash, bytes(32), unix_time)


def genesis_accounts(keys: Mapping[str, Keypair]) -> dict[Key, Account]:
    """Return the accounts of the funded wallets."""
    return {
        bytes(keypair.pubkey()): Account(_FUNDS[role], SYSTEM, b"")
        for role, keypair in keys.items()
    }


def signed(payer: Keypair, instructions: list[Instruction], blockhash: bytes) -> WireTransaction:
    """Return a v0 transaction with one signer."""
    message = MessageV0.try_compile(payer.pubkey(), instructions, [], Hash.from_bytes(blockhash))
    return WireTransaction(bytes(VersionedTransaction(message, [payer])))


def configure(
    options: Options,
    keys: Mapping[str, Keypair],
    run: Callable[[Keypair, list[Instruction]], TxError | None],
) -> TxError | None:
    """Create and update GlobalConfig, each in its own slot; return the first error."""
    admin = keys["admin"]
    create = initialize_global_config(
        options.program_id,
        admin=admin.pubkey(),
        backend_authority=keys["backend"].pubkey(),
        protocol_fee_wallet=keys["fee"].pubkey(),
    )
    error = run(admin, [create])
    if error is not None:
        return error
    protocol, resolver, provider = _FEES_BPS
    approval, dispute = _THRESHOLDS_BPS
    update = update_global_config(
        options.program_id,
        admin=admin.pubkey(),
        protocol_fee_bps=protocol,
        resolver_reward_bps=resolver,
        liquidity_provider_fee_bps=provider,
        proposal_approval_threshold=approval,
        dispute_success_threshold=dispute,
        min_resolution_delay=_MIN_RESOLUTION_DELAY,
        dispute_period=options.dispute_period,
    )
    return run(admin, [update])
