"""Transactions that only the admin may sign: prepared here, signed and sent by their wallet.

Each is built from the current state of the chain and simulated before it is returned.
``update_global_config`` rewrites five values at once and ``emergency_pause`` is a toggle, so the
configuration is read first: unchanged values are filled in, and a request that would change
nothing is refused.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.chain import compute_budget
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.faults import Fault, transaction_fault
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program import instructions as program
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.program.addresses import config_address, market_address
from zmart_pipelines.program.lifecycle import BASIS_POINTS, meets_threshold, share_bps
from zmart_pipelines.submissions import signing

TransactionKind = Literal["approve", "cancel", "update-config", "pause"]

FEES: Final = ("protocol_fee_bps", "resolver_reward_bps", "liquidity_provider_fee_bps")
THRESHOLDS: Final = ("proposal_approval_threshold", "dispute_success_threshold")
TIMES: Final = ("min_resolution_delay", "dispute_period")
# The total of fees, in basis points, that buy_shares assumes regardless of the configuration.
BUILT_IN_FEES: Final = 1_000
_MAX_SECONDS: Final = 2**63 - 1
# Micro-lamports per compute unit: the highest price that is ever offered for these transactions.
_MAX_UNIT_PRICE: Final = 1_000_000


class PrepareRefused(ValueError):
    """The transaction would fail, change nothing or do harm; the message says why."""


class PreparedTransaction(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction.

    Attributes:
        kind: What was requested.
        transaction: The transaction in base64.
        signer: The address that must sign it, base58.
        description: What it does, in sentences.
        blockhash: Its recent blockhash, base58.
        last_valid_block_height: The last block height at which it can land.
        blocks_left: Blocks until then.
        compute_units: Compute units that the simulation used.
    """

    kind: TransactionKind
    transaction: str
    signer: str
    description: tuple[str, ...]
    blockhash: str
    last_valid_block_height: int
    blocks_left: int
    compute_units: int


def approve(reader: AccountReader, market: MarketAccount) -> PreparedTransaction:
    """Prepare approve_proposal, if the counts on chain are sufficient."""
    config = reader.config("confirmed").value
    likes, dislikes = market.proposal_likes, market.proposal_dislikes
    threshold = config.proposal_approval_threshold
    counts = (
        f"{likes} likes and {dislikes} dislikes on chain, {share_bps(likes, likes + dislikes)} bps;"
        f" the threshold is {threshold} bps"
    )
    if market.state != MarketState.PROPOSED:
        raise PrepareRefused(f"the market is {market.state.name}, not PROPOSED")
    if not meets_threshold(likes, likes + dislikes, threshold):
        raise PrepareRefused(f"the program would reject it: {counts}")
    return _prepare(
        reader,
        "approve",
        config,
        program.approve_proposal(
            reader.program, admin=Pubkey(config.admin), market=_address(reader, market)
        ),
        [f"approves the proposal {market.market_id.hex()}: PROPOSED -> APPROVED", counts],
    )


def cancel(reader: AccountReader, market: MarketAccount) -> PreparedTransaction:
    """Prepare cancel_market, for a proposal or an approved market."""
    if market.state not in (MarketState.PROPOSED, MarketState.APPROVED):
        raise PrepareRefused(
            f"the market is {market.state.name}; only PROPOSED and APPROVED can be cancelled"
        )
    config = reader.config("confirmed").value
    return _prepare(
        reader,
        "cancel",
        config,
        program.cancel_market(
            reader.program, admin=Pubkey(config.admin), market=_address(reader, market)
        ),
        [
            f"cancels the market {market.market_id.hex()}: {market.state.name} -> CANCELLED",
            "this cannot be undone, and nothing is refunded",
        ],
    )


def pause(reader: AccountReader, *, paused: bool) -> PreparedTransaction:
    """Prepare emergency_pause, unless the protocol is already in the requested state."""
    config = reader.config("confirmed").value
    if config.is_paused == paused:
        raise PrepareRefused(
            f"the protocol is already {'paused' if paused else 'not paused'}; the instruction is"
            " a toggle and would reverse that"
        )
    return _prepare(
        reader,
        "pause",
        config,
        program.emergency_pause(reader.program, admin=Pubkey(config.admin)),
        [
            f"toggles the pause: {'off -> on' if paused else 'on -> off'}",
            "while it is on, creating markets and trading stop; everything else continues",
            "send it once: a second toggle reverses it, also one that was prepared separately",
        ],
    )


def update_config(reader: AccountReader, changes: Mapping[str, int]) -> PreparedTransaction:
    """Prepare update_global_config with ``changes``; other values stay as they are.

    Args:
        reader: Reads the configuration.
        changes: New values by the names of :data:`FEES`, :data:`THRESHOLDS` (basis points) and
            :data:`TIMES` (seconds).
    """
    config = reader.config("confirmed").value
    known = (*FEES, *THRESHOLDS, *TIMES)
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise PrepareRefused(f"{unknown[0]}: is not one of {', '.join(known)}")
    for name, value in changes.items():
        low, high = (1, _MAX_SECONDS) if name in TIMES else (0, BASIS_POINTS)
        if not low <= value <= high:
            raise PrepareRefused(f"{name}: {value} is not between {low} and {high}")
    present = {name: int(getattr(config, name)) for name in known}
    wanted = present | dict(changes)
    if wanted == present:
        raise PrepareRefused("no value would change; give a value that differs")
    fees = sum(wanted[name] for name in FEES)
    if fees > BASIS_POINTS:
        raise PrepareRefused(f"the three fees add up to {fees} bps; the maximum is {BASIS_POINTS}")
    description = [
        f"{name}: {present[name]} -> {wanted[name]}"
        if present[name] != wanted[name]
        else f"{name}: stays {present[name]}"
        for name in known
    ]
    description.append(
        "all five basis-point values are rewritten; unchanged ones with the values just read"
    )
    if fees != BUILT_IN_FEES:
        description.append(f"warning: the fees add up to {fees} bps; {_fee_warning(fees)}")
    times = {name: wanted[name] for name in TIMES if wanted[name] != present[name]}
    return _prepare(
        reader,
        "update-config",
        config,
        program.update_global_config(
            reader.program,
            admin=Pubkey(config.admin),
            **{name: wanted[name] for name in (*FEES, *THRESHOLDS)},
            **times,
        ),
        description,
    )


def _fee_warning(total: int) -> str:
    """Return what happens to buys when the fees are not the total that the program assumes."""
    if total == 0:
        return "trading stops, because the program divides by them"
    if total < BUILT_IN_FEES:
        return f"buyers spend less than they request, as if the fees were {BUILT_IN_FEES} bps"
    return f"most buys will fail, because the program leaves room for {BUILT_IN_FEES} bps only"


def _prepare(
    reader: AccountReader,
    kind: TransactionKind,
    config: GlobalConfig,
    instruction: Instruction,
    description: Sequence[str],
) -> PreparedTransaction:
    admin, rpc = Pubkey(config.admin), reader.rpc
    blockhash = rpc.latest_blockhash("confirmed")
    simulation = rpc.simulate(
        unsigned_transaction(admin, [instruction], blockhash.hash), "confirmed"
    )
    error = signing.error_name(simulation)
    if error is not None:
        if transaction_fault(simulation.error) is Fault.PROGRAM:
            raise PrepareRefused(f"the program would reject it: {error}")
        raise PrepareRefused(f"it could not be simulated: {error}; try again later")
    recent = [row.fee for row in rpc.prioritization_fees([config_address(reader.program)[0]])]
    used = simulation.units or 0
    body = compute_budget.with_budget(
        [instruction],
        units=compute_budget.compute_limit(used),
        unit_price=compute_budget.unit_price(recent, _MAX_UNIT_PRICE),
    )
    height = rpc.block_height("confirmed")
    left = max(0, blockhash.last_valid_block_height - height)
    expiry = (
        f"sign and send it within {left} blocks, up to block height"
        f" {blockhash.last_valid_block_height} (about {left * 2 // 5} s on mainnet); after that its"
        " blockhash has expired and it must be prepared again"
    )
    return PreparedTransaction(
        kind=kind,
        transaction=b64encode(unsigned_transaction(admin, body, blockhash.hash)).decode(),
        signer=str(admin),
        description=(
            *description,
            f"must be signed by the admin, {admin}, who pays the fee",
            expiry,
        ),
        blockhash=str(blockhash.hash),
        last_valid_block_height=blockhash.last_valid_block_height,
        blocks_left=left,
        compute_units=used,
    )


def _address(reader: AccountReader, market: MarketAccount) -> Pubkey:
    return market_address(reader.program, market.market_id)[0]
