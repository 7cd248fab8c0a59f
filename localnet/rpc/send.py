"""Methods that execute transactions."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from localnet.bank import TransactionRefused, returned_data
from localnet.blocks import Commitment
from localnet.faults import FaultKind
from localnet.rpc import encoding
from localnet.rpc.encoding import AccountEncoding, signature_text
from localnet.rpc.errors import PREFLIGHT_FAILURE, SIGNATURE_FAILURE, RpcError, invalid
from localnet.rpc.params import Natural, Options, Params, pubkey, transaction, with_context
from localnet.rpc.registry import method
from localnet.transaction_errors import describe
from localnet.vm import Execution
from localnet.wire_transaction import WireTransaction
from zmart_pipelines import base58

_MAX_AIRDROP = 100_000 * 1_000_000_000


class SendOptions(msgspec.Struct, rename="camel"):
    """Options of ``sendTransaction``."""

    encoding: Literal["base58", "base64"] = "base58"
    skip_preflight: bool = False
    preflight_commitment: Commitment | None = None
    max_retries: Natural | None = None
    min_context_slot: Natural | None = None


class AccountsWanted(msgspec.Struct):
    """Accounts whose state after a simulation is requested."""

    addresses: list[str]
    encoding: AccountEncoding | None = None


class SimulateOptions(Options, rename="camel"):
    """Options of ``simulateTransaction``."""

    encoding: Literal["base58", "base64"] = "base58"
    sig_verify: bool = False
    replace_recent_blockhash: bool = False
    inner_instructions: bool = False
    accounts: AccountsWanted | None = None


@method("sendTransaction")
def send_transaction(params: Params) -> Any:
    """Check, simulate unless skipped, then execute in the open slot; return the signature.

    A transaction that cannot be included in a block is dropped silently, as leaders do; only
    the preflight reports it.
    """
    options = params.options(1, SendOptions)
    tx = transaction(params.convert(0, str), options.encoding)
    signed = tx.signatures_valid()
    level = options.preflight_commitment or Commitment.FINALIZED
    tip = None
    faults = params.node.faults
    dropped = bool(faults.armed) and (
        faults.consume({FaultKind.DROPPED_SEND}, ["sendTransaction"]) is not None
    )
    if not options.skip_preflight:
        tip = params.tip(Options(commitment=level, min_context_slot=options.min_context_slot))
        if not signed:
            raise RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")
        if dropped or tip.slot < params.node.bank.slot:
            done = params.node.bank.simulate(tx, tip)
            if done.error is not None:
                raise _preflight_failure(done)
    if signed and not dropped:
        # On the open slot preflight and execution are combined.
        is_combined = tip is not None and tip.slot == params.node.bank.slot
        try:
            params.node.send(tx, land_failures=not is_combined)
        except TransactionRefused as refused:
            if is_combined:
                raise _preflight_failure(refused.execution) from refused
    return signature_text(tx.signature)


def _preflight_failure(done: Execution) -> RpcError:
    return RpcError(
        PREFLIGHT_FAILURE,
        f"Transaction simulation failed: {describe(done.error or '')}",
        _simulated(done),
    )


@method("simulateTransaction")
def simulate_transaction(params: Params) -> Any:
    """Simulate a transaction."""
    options = params.options(1, SimulateOptions)
    if options.sig_verify and options.replace_recent_blockhash:
        raise invalid("sigVerify may not be used with replaceRecentBlockhash")
    tx = transaction(params.convert(0, str), options.encoding)
    level = options.commitment or Commitment.FINALIZED
    tip = params.tip(options)
    if options.sig_verify and not tx.signatures_valid():
        raise RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")
    bank = params.node.bank
    done = bank.simulate(tx, tip, check_blockhash=not options.replace_recent_blockhash)
    value = _simulated(done)
    if options.inner_instructions:
        value["innerInstructions"] = done.inner
    if options.replace_recent_blockhash:
        block = params.view.latest_block(level)
        value["replacementBlockhash"] = {
            "blockhash": base58.encode(block.blockhash),
            "lastValidBlockHeight": block.last_valid_height,
        }
    if options.accounts is not None:
        value["accounts"] = _accounts(params, done, options.accounts, tx, tip.slot)
    return with_context(tip, value)


def _accounts(
    params: Params, done: Execution, wanted: AccountsWanted, tx: WireTransaction, slot: int
) -> list[Any]:
    if len(wanted.addresses) > len(tx.keys):
        raise invalid(f"Too many accounts provided; max {len(tx.keys)}")
    keys = [bytes(pubkey(name)) for name in wanted.addresses]
    if done.error is not None:
        return [None] * len(keys)
    bank = params.node.bank
    return [
        encoding.account(
            key,
            done.post[key] if key in done.post else bank.account(key, slot),
            wanted.encoding or "base64",
        )
        for key in keys
    ]


def _simulated(done: Execution) -> dict[str, Any]:
    return {
        "accounts": None,
        "err": done.error,
        "innerInstructions": None,
        "logs": done.logs,
        "replacementBlockhash": None,
        "returnData": returned_data(done),
        "unitsConsumed": done.units,
    }


@method("requestAirdrop")
def request_airdrop(params: Params) -> Any:
    """Send lamports from the faucet's wallet by a real transaction; return its signature."""
    to = params.pubkey(0)
    lamports = params.natural(1)
    if not 0 < lamports <= _MAX_AIRDROP:
        raise invalid(f"Invalid params: lamports must be between 1 and {_MAX_AIRDROP}")
    try:
        return signature_text(params.node.airdrop(to, lamports))
    except TransactionRefused as refused:
        error = refused.execution.error
        raise RpcError(
            PREFLIGHT_FAILURE, f"airdrop failed: {describe(error or 'AccountNotFound')}"
        ) from refused
