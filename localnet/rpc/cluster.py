"""Methods for the chain as a whole: slots, hashes, time, fees."""

from __future__ import annotations

from typing import Any

from localnet.accounts import rent_exempt_minimum
from localnet.blocks import SLOTS_PER_EPOCH, Commitment
from localnet.rpc.errors import invalid, skipped, unavailable
from localnet.rpc.params import (
    API_VERSION,
    Options,
    Params,
    decode_bytes,
    pubkey,
    with_context,
)
from localnet.rpc.registry import method
from localnet.wire_transaction import MalformedTransaction, WireTransaction
from zmart_pipelines import base58

_FEATURE_SET = 3_604_001_754
_FEE_SLOTS = 150
_BLOCK_RANGE = 500_000


@method("getHealth")
def get_health(params: Params) -> Any:
    """Return ok; injected faults respond before this method is called."""
    return "ok"


@method("getVersion")
def get_version(params: Params) -> Any:
    """Return the cluster version whose behaviour this node follows."""
    return {"feature-set": _FEATURE_SET, "solana-core": API_VERSION}


@method("getGenesisHash")
def get_genesis_hash(params: Params) -> Any:
    """Return the hash that identifies the chain."""
    return base58.encode(params.node.genesis_hash)


@method("getIdentity")
def get_identity(params: Params) -> Any:
    """Return the identity of the only validator, which is the fee wallet's."""
    return {"identity": _identity(params)}


@method("getSlotLeader")
def get_slot_leader(params: Params) -> Any:
    """Return the only validator."""
    return _identity(params)


@method("getSlotLeaders")
def get_slot_leaders(params: Params) -> Any:
    """Return the only validator for each of the requested slots."""
    return [_identity(params)] * min(params.natural(1), 5000)


def _identity(params: Params) -> str:
    return str(params.node.keys["fee"].pubkey())


@method("getSlot")
def get_slot(params: Params) -> Any:
    """Return the newest slot at a commitment."""
    return params.tip(params.options(0, Options)).slot


@method("getBlockHeight")
def get_block_height(params: Params) -> Any:
    """Return the newest block height at a commitment."""
    return params.tip(params.options(0, Options)).height


@method("getTransactionCount")
def get_transaction_count(params: Params) -> Any:
    """Return the number of transactions in the chain at a commitment."""
    tip = params.tip(params.options(0, Options))
    count = params.node.history.transaction_count(tip.slot)
    return count + (len(params.node.bank.records) if tip.slot == params.node.bank.slot else 0)


@method("getEpochInfo")
def get_epoch_info(params: Params) -> Any:
    """Return the epoch; epochs have 432,000 slots, starting at slot 0."""
    tip = params.tip(params.options(0, Options))
    return {
        "absoluteSlot": tip.slot,
        "blockHeight": tip.height,
        "epoch": tip.slot // SLOTS_PER_EPOCH,
        "slotIndex": tip.slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": params.node.history.transaction_count(tip.slot),
    }


@method("getEpochSchedule")
def get_epoch_schedule(params: Params) -> Any:
    """Return the schedule: epochs of equal length without a warm-up."""
    return {
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "warmup": False,
    }


@method("getLatestBlockhash")
def get_latest_blockhash(params: Params) -> Any:
    """Return the newest blockhash at a commitment and its last valid block height."""
    options = params.options(0, Options)
    tip = params.tip(options)
    block = params.view.latest_block(options.commitment or Commitment.FINALIZED)
    return with_context(
        tip,
        {
            "blockhash": base58.encode(block.blockhash),
            "lastValidBlockHeight": block.last_valid_height,
        },
    )


@method("isBlockhashValid")
def is_blockhash_valid(params: Params) -> Any:
    """Return whether a transaction may still use a blockhash."""
    blockhash = bytes(pubkey(params.convert(0, str)))
    tip = params.tip(params.options(1, Options))
    return with_context(tip, params.node.bank.blockhash_valid(blockhash, tip))


@method("getFeeForMessage")
def get_fee_for_message(params: Params) -> Any:
    """Return the fee of a base64 message in lamports, null when its blockhash has expired."""
    message = decode_bytes(params.convert(0, str), "base64", "solana_message::VersionedMessage")
    tip = params.tip(params.options(1, Options))
    if not message:
        raise invalid("failed to deserialize solana_message::VersionedMessage: no bytes")
    signatures = message[1] if message[0] & 0x80 and len(message) > 1 else message[0]
    try:
        tx = WireTransaction(bytes([signatures]) + bytes(64 * signatures) + message)
    except (MalformedTransaction, ValueError) as error:
        raise invalid(f"failed to deserialize solana_message::VersionedMessage: {error}") from error
    valid = params.node.bank.blockhash_valid(tx.blockhash, tip)
    return with_context(tip, tx.fee if valid else None)


@method("getRecentPrioritizationFees")
def get_recent_prioritization_fees(params: Params) -> Any:
    """Return fees of zero, because nothing competes for space in these blocks."""
    for name in params.options(0, list[str]) if params.get(0) else []:
        pubkey(name)
    blocks = params.node.bank.blocks[-_FEE_SLOTS:]
    return [{"slot": block.slot, "prioritizationFee": 0} for block in blocks]


@method("getMinimumBalanceForRentExemption")
def get_minimum_balance(params: Params) -> Any:
    """Return the lamports that exempt an account of a size from rent."""
    return rent_exempt_minimum(params.natural(0))


@method("getBlockTime")
def get_block_time(params: Params) -> Any:
    """Return the time of a block in Unix seconds."""
    slot = params.natural(0)
    block = params.node.history.block(slot)
    if block is None:
        raise skipped(slot) if slot < params.node.bank.slot else unavailable(slot)
    return block.unix_time


@method("getFirstAvailableBlock")
def get_first_available_block(params: Params) -> Any:
    """Return slot 0, because the whole history is kept."""
    return 0


@method("minimumLedgerSlot")
def minimum_ledger_slot(params: Params) -> Any:
    """Return slot 0, because the whole history is kept."""
    return 0


@method("getBlocks")
def get_blocks(params: Params) -> Any:
    """Return the slots with a block in a range of at most 500,000 slots."""
    first = params.natural(0)
    at = 1 if isinstance(params.get(1), int) else None
    options = params.options(1 if at is None and isinstance(params.get(1), dict) else 2, Options)
    top = _history_slot(params, options)
    last = min(top, params.natural(1)) if at == 1 else top
    if last - first > _BLOCK_RANGE:
        raise invalid(f"Slot range too large; max {_BLOCK_RANGE}")
    return params.node.history.block_slots(first, last, _BLOCK_RANGE)


@method("getBlocksWithLimit")
def get_blocks_with_limit(params: Params) -> Any:
    """Return the next slots with a block."""
    limit = params.natural(1)
    if limit > _BLOCK_RANGE:
        raise invalid(f"Limit too large; max {_BLOCK_RANGE}")
    top = _history_slot(params, params.options(2, Options))
    return params.node.history.block_slots(params.natural(0), top, limit)


def _history_slot(params: Params, options: Options) -> int:
    if options.commitment is Commitment.PROCESSED:
        raise invalid("Method does not support commitment below `confirmed`")
    return params.tip(options).slot


@method("getSupply")
def get_supply(params: Params) -> Any:
    """Return the sum of all lamports, none of which is locked."""
    tip = params.tip(params.options(0, Options))
    total = sum(account.lamports for account in params.node.bank.table.current.values())
    return with_context(
        tip,
        {
            "total": total,
            "circulating": total,
            "nonCirculating": 0,
            "nonCirculatingAccounts": [],
        },
    )
