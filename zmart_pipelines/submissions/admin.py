"""Transactions that only the admin may sign: prepared here, signed and sent by their wallet.

Each is made from what the chain holds at this moment and is simulated before it is handed out.
``update_global_config`` rewrites five values at once and ``emergency_pause`` is a toggle, so
both are read first: what shall stay is filled in, and what is so already is refused.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program import instructions as program
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.program.addresses import config_address, market_address
from zmart_pipelines.program.lifecycle import BASIS_POINTS, meets_threshold, share_bps
from zmart_pipelines.submissions import actions, signing

Kind = Literal["approve", "cancel", "update-config", "pause"]

FEES: Final = ("protocol_fee_bps", "resolver_reward_bps", "liquidity_provider_fee_bps")
THRESHOLDS: Final = ("proposal_approval_threshold", "dispute_success_threshold")
TIMES: Final = ("min_resolution_delay", "dispute_period")
# The fees that buy_shares reckons with, whatever the configuration says.
BUILT_IN_FEES: Final = 1_000
_LONGEST: Final = 2**63 - 1
# A price that gets through on a quiet chain and costs nearly nothing on a busy one.
_MOST_PRICE: Final = 1_000_000


class PrepareRefused(ValueError):
    """The transaction would fail, do nothing or do harm; the message says why."""


class PreparedTransaction(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction in base64, and in ``words`` what it does.

    It can land up to block height ``last_valid_block_height``; ``blocks_left`` of them are
    left.
    """

    kind: Kind
    transaction: str
    signer: str
    words: tuple[str, ...]
    blockhash: str
    last_valid_block_height: int
    blocks_left: int
    compute_units: int


def approve(reader: AccountReader, market: MarketAccount) -> PreparedTransaction:
    """approve_proposal, where the counts on chain suffice."""
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
        raise PrepareRefused(f"the chain would refuse it: {counts}")
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
    """cancel_market, for a proposal or an approved market."""
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
    """emergency_pause, where the protocol is not so already."""
    config = reader.config("confirmed").value
    if config.is_paused == paused:
        raise PrepareRefused(
            f"the protocol is {'paused' if paused else 'not paused'} already; the instruction is"
            " a toggle and would undo that"
        )
    return _prepare(
        reader,
        "pause",
        config,
        program.emergency_pause(reader.program, admin=Pubkey(config.admin)),
        [
            f"toggles the pause: {'off -> on' if paused else 'on -> off'}",
            "creating markets and trading stop while it is on; everything else goes on",
            "send it once: a second toggle undoes it, also one that somebody else prepared",
        ],
    )


def update_config(reader: AccountReader, changes: Mapping[str, int]) -> PreparedTransaction:
    """update_global_config with these values changed and the others as they are.

    :param changes: by the names of :data:`FEES`, :data:`THRESHOLDS` (basis points) and
        :data:`TIMES` (seconds).
    """
    config = reader.config("confirmed").value
    known = (*FEES, *THRESHOLDS, *TIMES)
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise PrepareRefused(f"{unknown[0]}: is none of {', '.join(known)}")
    for name, value in changes.items():
        least, most = (1, _LONGEST) if name in TIMES else (0, BASIS_POINTS)
        if not least <= value <= most:
            raise PrepareRefused(f"{name}: {value} is not within {least} and {most}")
    present = {name: int(getattr(config, name)) for name in known}
    wanted = present | dict(changes)
    if wanted == present:
        raise PrepareRefused("every value is so already; name one to change")
    fees = sum(wanted[name] for name in FEES)
    if fees > BASIS_POINTS:
        raise PrepareRefused(f"the three fees add up to {fees} bps, at most {BASIS_POINTS}")
    words = [
        f"{name}: {present[name]} -> {wanted[name]}"
        if present[name] != wanted[name]
        else f"{name}: stays {present[name]}"
        for name in known
    ]
    words.append("all five basis-point values are rewritten with what was read just now")
    if fees != BUILT_IN_FEES:
        words.append(f"beware: the fees add up to {fees} bps; {_strange_fees(fees)}")
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
        words,
    )


def _strange_fees(total: int) -> str:
    """What becomes of buys when the fees are not the total that the program reckons with."""
    if total == 0:
        return "trading stops, because the program divides by them"
    if total < BUILT_IN_FEES:
        return f"buyers spend less than they ask for, as if the fees were {BUILT_IN_FEES} bps"
    return f"most buys will fail, because the program leaves room for {BUILT_IN_FEES} bps only"


def _prepare(
    reader: AccountReader,
    kind: Kind,
    config: GlobalConfig,
    instruction: Instruction,
    words: Sequence[str],
) -> PreparedTransaction:
    admin, rpc = Pubkey(config.admin), reader.rpc
    blockhash = rpc.latest_blockhash("confirmed")
    tried = rpc.simulate(unsigned_transaction(admin, [instruction], blockhash.hash), "confirmed")
    error = signing.error_name(tried)
    if error is not None:
        raise PrepareRefused(f"the chain would refuse it: {error}")
    recent = [row.fee for row in rpc.prioritization_fees([config_address(reader.program)[0]])]
    used = tried.units or 0
    body = actions.with_budget(
        [instruction],
        units=actions.compute_limit(used),
        unit_price=actions.unit_price(recent, _MOST_PRICE),
    )
    height = rpc.block_height("confirmed")
    left = max(0, blockhash.last_valid_block_height - height)
    expiry = (
        f"sign and send it within {left} blocks, up to block height"
        f" {blockhash.last_valid_block_height} (some {left * 2 // 5} s on the real cluster); then"
        " its blockhash expires and it must be prepared anew"
    )
    return PreparedTransaction(
        kind=kind,
        transaction=b64encode(unsigned_transaction(admin, body, blockhash.hash)).decode(),
        signer=str(admin),
        words=(*words, f"must be signed by the admin, {admin}, who pays the fee", expiry),
        blockhash=str(blockhash.hash),
        last_valid_block_height=blockhash.last_valid_block_height,
        blocks_left=left,
        compute_units=used,
    )


def _address(reader: AccountReader, market: MarketAccount) -> Pubkey:
    return market_address(reader.program, market.market_id)[0]
