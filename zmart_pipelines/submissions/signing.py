"""Building, simulating and signing of an intent's transaction."""

from __future__ import annotations

import re

import msgspec
from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.chain import compute_budget
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import Simulation
from zmart_pipelines.chain.signer import Signer
from zmart_pipelines.chain.transaction_builder import (
    build_transaction,
    signature_of,
    unsigned_transaction,
)
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.errors import describe
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import actions
from zmart_pipelines.submissions.intents import Intent

# The log line in which an Anchor program names its error; error numbers differ between builds.
_ANCHOR_ERROR = re.compile(r"^Program log: AnchorError .*Error Code: (\w+)\.")


class SignedTransaction(msgspec.Struct, frozen=True):
    """A signed transaction that was not sent yet. ``fee``: its maximum cost in lamports."""

    signature: bytes
    transaction: bytes
    blockhash: str
    last_valid_block_height: int
    fee: int


def _body(intent: Intent, program: Pubkey, authority: Pubkey) -> list[Instruction]:
    body = [
        actions.instruction(
            intent.action,
            intent.arguments,
            intent.market_id,
            program_id=program,
            authority=authority,
        )
    ]
    # An approval has no counts; the aggregation before it names the bundle.
    if intent.bundle_cid is not None and intent.action != "approve_proposal":
        body.insert(0, actions.memo(intent.bundle_cid))
    return body


def unsigned(intent: Intent, program: Pubkey, authority: Pubkey) -> bytes:
    """Return the transaction without signature and with an empty blockhash."""
    return unsigned_transaction(authority, _body(intent, program, authority), Hash.default())


def simulate(rpc: RpcClient, intent: Intent, program: Pubkey, authority: Pubkey) -> Simulation:
    """Simulate the transaction at confirmed without signing it."""
    return rpc.simulate(unsigned(intent, program, authority), "confirmed", replace_blockhash=True)


def error_name(simulation: Simulation) -> str | None:
    """Return the program's name of the simulation's error, None for success."""
    if simulation.error is None:
        return None
    for line in simulation.logs:
        found = _ANCHOR_ERROR.match(line)
        if found is not None:
            return found[1]
    return describe(simulation.error)


def sign(
    rpc: RpcClient, intent: Intent, settings: Settings, signer: Signer, *, used_units: int
) -> SignedTransaction:
    """Sign with a confirmed blockhash, a compute limit and a price.

    The limit follows from the simulation; the price from recent fees on the market, within the
    caps of the settings.

    Raises:
        BuildError: The transaction cannot be built.
        SigningRefused: The key does not sign this message.
        RpcError, RpcUnavailable, RateLimited: The chain cannot be read.
    """
    program = settings.program
    authority = signer.pubkey()
    market = market_address(program, intent.market_id)[0]
    recent = [row.fee for row in rpc.prioritization_fees([market])]
    units = compute_budget.compute_limit(used_units)
    affordable = compute_budget.affordable_price(units, settings.max_fee_per_transaction_lamports)
    price = compute_budget.unit_price(
        recent, min(settings.max_priority_fee_micro_lamports, affordable)
    )
    body = compute_budget.with_budget(
        _body(intent, program, authority), units=units, unit_price=price
    )
    blockhash = rpc.latest_blockhash("confirmed")
    transaction = build_transaction(authority, body, blockhash.hash, [signer])
    return SignedTransaction(
        signature=signature_of(transaction),
        transaction=transaction,
        blockhash=str(blockhash.hash),
        last_valid_block_height=blockhash.last_valid_block_height,
        fee=compute_budget.fee(units, price),
    )
