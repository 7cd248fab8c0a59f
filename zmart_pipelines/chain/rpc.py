"""The RPC methods of a Solana node that this project uses, with typed results.

https://solana.com/docs/rpc/http. Commitments: ``processed``, ``confirmed``, ``finalized``.
``min_context_slot`` makes a node that has not reached that slot refuse instead of returning
older state. Errors: ``zmart_pipelines.chain.jsonrpc``; choice of the node:
``zmart_pipelines.chain.endpoint_pool``.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines import base58
from zmart_pipelines.chain.endpoint_pool import EndpointPool, Failure
from zmart_pipelines.chain.faults import Fault, transaction_fault
from zmart_pipelines.chain.jsonrpc import NodeBehind, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc_types import (
    AccountData,
    AccountRow,
    AtSlot,
    Blockhash,
    BlockhashRow,
    BlockHeight,
    Clock,
    Commitment,
    Contextual,
    EpochInfo,
    KeyedRow,
    PrioritizationFee,
    SignatureInfo,
    SignatureRow,
    Simulation,
    SimulationRow,
    Status,
    StatusRow,
    TransactionHead,
    TransactionPage,
    Unsigned,
)
from zmart_pipelines.chain.transactions import MAX_TRANSACTION_VERSION
from zmart_pipelines.program.ids import CLOCK_SYSVAR

MAX_ACCOUNTS = 100
MAX_STATUSES = 256
# The error of getTransaction for a version above ``maxSupportedTransactionVersion``.
UNSUPPORTED_TRANSACTION_VERSION = -32015
# Clock: slot u64, epoch_start_timestamp i64, epoch u64, leader_schedule_epoch u64,
# unix_timestamp i64.
_CLOCK = struct.Struct("<QqQQq")


def _options(**values: Any) -> dict[str, Any]:
    """Return a configuration object without the values that are None."""
    return {name: value for name, value in values.items() if value is not None}


def _expected(
    *, min_slot: int | None = None, count: int | None = None
) -> Callable[[Contextual[Any]], None]:
    """Return a check of a contextual result: not older than asked for, and complete."""

    def check(answer: Contextual[Any]) -> None:
        if count is not None and len(answer.value) != count:
            raise RpcUnavailable(f"unexpected result: {len(answer.value)} values of {count}")
        if min_slot is not None and answer.context.slot < min_slot:
            raise NodeBehind(
                f"unexpected result: of slot {answer.context.slot}, before the minimum {min_slot}"
            )

    return check


def _check_transaction(result: msgspec.Raw) -> None:
    if bytes(result) != b"null" and not bytes(result).startswith(b"{"):
        raise RpcUnavailable("getTransaction: unexpected result: neither an object nor null")


def _names_transaction(result: bytes, signature: str) -> bool:
    """Return whether a result is an executed transaction with this signature."""
    try:
        found = msgspec.json.decode(result, type=TransactionHead)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return found.transaction.signatures[0] == signature


def clock_in(account: AccountData | None) -> Clock:
    """Return the clock in the Clock sysvar's account.

    Raises:
        RpcUnavailable: it is not that account.
    """
    if account is None or len(account.data) != _CLOCK.size:
        raise RpcUnavailable("unexpected result: no Clock sysvar")
    slot, _, _, _, unix_timestamp = _CLOCK.unpack(account.data)
    return Clock(slot, unix_timestamp)


def _account(row: AccountRow) -> AccountData:
    return AccountData(row.owner, row.lamports, row.data[0], row.executable)


class Broadcast(msgspec.Struct, frozen=True):
    """How many nodes accepted a transaction, and the failures of the others."""

    accepted: int
    failures: list[Failure]


class RpcClient(EndpointPool):
    """A synchronous client of the nodes of one cluster, usable from several threads."""

    def slot(self, commitment: Commitment) -> int:
        """Return the slot that the node has reached."""
        return self.read("getSlot", [{"commitment": commitment}], Unsigned)

    def block_height(self, commitment: Commitment) -> int:
        """Return the number of blocks below the node's newest; skipped slots do not count."""
        return self.read("getBlockHeight", [{"commitment": commitment}], Unsigned)

    def blocks(
        self,
        first_slot: int,
        last_slot: int,
        commitment: Literal["confirmed", "finalized"] = "finalized",
    ) -> list[int]:
        """Return the slots that have a block, from first to last, inclusive, ascending.

        Slots before the last one returned that are not listed were skipped, according to this
        node at that commitment. A node that is behind returns a shorter list.
        """

        def check(slots: list[int]) -> None:
            if slots and not (first_slot <= slots[0] and slots[-1] <= last_slot):
                raise RpcUnavailable("getBlocks: unexpected result: slots outside the range")
            if any(later <= slot for slot, later in pairwise(slots)):
                raise RpcUnavailable("getBlocks: unexpected result: slots in no order")

        params = [first_slot, last_slot, {"commitment": commitment}]
        return self.read("getBlocks", params, list[Unsigned], check)

    def first_available_block(self) -> int:
        """Return the lowest slot from which the node has the history."""
        return self.read("getFirstAvailableBlock", [], Unsigned)

    def latest_blockhash(self, commitment: Commitment) -> Blockhash:
        """Return a blockhash to sign with."""
        answer = self.read(
            "getLatestBlockhash", [{"commitment": commitment}], Contextual[BlockhashRow]
        )
        value = answer.value
        return Blockhash(value.blockhash, value.last_valid_block_height, answer.context.slot)

    def account(
        self,
        address: Pubkey,
        commitment: Commitment,
        min_context_slot: int | None = None,
        *,
        first_bytes: int | None = None,
    ) -> AtSlot[AccountData | None]:
        """Return an account, or None where there is none.

        With ``first_bytes`` its data is cut after so many bytes.
        """
        options = _options(
            encoding="base64",
            commitment=commitment,
            minContextSlot=min_context_slot,
            dataSlice=None if first_bytes is None else {"offset": 0, "length": first_bytes},
        )
        answer = self.read(
            "getAccountInfo",
            [str(address), options],
            Contextual[AccountRow | None],
            _expected(min_slot=min_context_slot),
        )
        row = answer.value
        return AtSlot(answer.context.slot, None if row is None else _account(row))

    def accounts(
        self,
        addresses: Sequence[Pubkey],
        commitment: Commitment,
        min_context_slot: int | None = None,
    ) -> AtSlot[list[AccountData | None]]:
        """Return up to 100 accounts as of one slot, in the order of ``addresses``.

        Raises:
            ValueError: more than 100 addresses.
        """
        if len(addresses) > MAX_ACCOUNTS:
            raise ValueError(f"{len(addresses)} accounts, at most {MAX_ACCOUNTS} in one call")
        options = _options(
            encoding="base64", commitment=commitment, minContextSlot=min_context_slot
        )
        answer = self.read(
            "getMultipleAccounts",
            [[str(address) for address in addresses], options],
            Contextual[list[AccountRow | None]],
            _expected(min_slot=min_context_slot, count=len(addresses)),
        )
        rows = [None if row is None else _account(row) for row in answer.value]
        return AtSlot(answer.context.slot, rows)

    def program_accounts(
        self,
        program: Pubkey,
        discriminator: bytes,
        filters: Sequence[tuple[int, bytes]] = (),
        commitment: Commitment = "finalized",
        *,
        data_size: int | None = None,
        min_context_slot: int | None = None,
    ) -> AtSlot[list[tuple[Pubkey, bytes]]]:
        """Return all accounts of a program that start with ``discriminator``, as of one slot.

        ``filters`` are (offset, bytes) pairs that the account's data must match as well.
        """
        matches: list[dict[str, Any]] = [
            {"memcmp": {"offset": offset, "bytes": base58.encode(data)}}
            for offset, data in ((0, discriminator), *filters)
        ]
        if data_size is not None:
            matches.append({"dataSize": data_size})
        options = _options(
            encoding="base64",
            commitment=commitment,
            filters=matches,
            withContext=True,
            minContextSlot=min_context_slot,
        )
        answer = self.read(
            "getProgramAccounts",
            [str(program), options],
            Contextual[list[KeyedRow]],
            _expected(min_slot=min_context_slot),
        )
        rows = [(row.pubkey, row.account.data[0]) for row in answer.value]
        return AtSlot(answer.context.slot, rows)

    def signatures_for_address(
        self,
        address: Pubkey,
        *,
        before: bytes | None = None,
        until: bytes | None = None,
        limit: int = 1000,
        commitment: Commitment = "finalized",
        min_context_slot: int | None = None,
    ) -> list[SignatureInfo]:
        """Return transactions that name an address, newest first, at most ``limit`` (1000).

        A node that does not know ``until`` returns the newest page as if it were not given;
        do not rely on it as the end.
        """
        options = _options(
            limit=limit,
            commitment=commitment,
            before=None if before is None else str(Signature(before)),
            until=None if until is None else str(Signature(until)),
            minContextSlot=min_context_slot,
        )
        rows = self.read("getSignaturesForAddress", [str(address), options], list[SignatureRow])
        return [
            SignatureInfo(
                bytes(row.signature),
                row.slot,
                row.transaction_index,
                row.err,
                row.block_time,
                row.confirmation_status,
            )
            for row in rows
        ]

    def transaction(self, signature: bytes, commitment: Commitment) -> bytes | None:
        """Return a transaction as raw JSON for ``transactions.from_rpc``.

        Return None where no node knows it. A result that is not this transaction passes the
        call on to the next endpoint; it is returned only if no endpoint has a better one.

        Raises:
            RpcError: also where its version is newer than can be decoded
                (``UNSUPPORTED_TRANSACTION_VERSION``).
        """
        unusable: bytes | None = None
        for answer in self.transaction_answers(signature, commitment):
            if _names_transaction(answer, str(Signature(signature))):
                return answer
            unusable = answer
        return unusable

    def transaction_answers(self, signature: bytes, commitment: Commitment) -> Iterator[bytes]:
        """Yield the nodes' own answers for a transaction, without those of nodes that lack it.

        Each node is called when its answer is requested, so that the next one can be asked where
        an answer is not usable. Answers and errors as for :meth:`transaction`.
        """
        options = {
            "encoding": "json",
            "commitment": commitment,
            "maxSupportedTransactionVersion": MAX_TRANSACTION_VERSION,
        }
        params = [str(Signature(signature)), options]
        for answer in self.responses("getTransaction", params, msgspec.Raw, _check_transaction):
            if bytes(answer) != b"null":
                yield bytes(answer)

    def transactions_for_address(
        self,
        address: Pubkey,
        *,
        first_slot: int,
        last_slot: int,
        token: str | None = None,
        limit: int = 100,
        commitment: Commitment = "finalized",
    ) -> tuple[list[bytes], str | None]:
        """Return one page of whole transactions that name an address, oldest first.

        Only some providers offer this method; others respond with RpcError -32601.
        https://www.helius.dev/docs/rpc/gettransactionsforaddress

        Args:
            limit: at most 100, which all of these providers allow.

        Returns:
            Raw JSON for ``transactions.from_rpc``, and the token of the next page.
        """
        options = _options(
            transactionDetails="full",
            sortOrder="asc",
            limit=limit,
            commitment=commitment,
            encoding="json",
            maxSupportedTransactionVersion=MAX_TRANSACTION_VERSION,
            filters={"slot": {"gte": first_slot, "lte": last_slot}},
            paginationToken=token,
        )
        page = self.read("getTransactionsForAddress", [str(address), options], TransactionPage)
        return [bytes(row) for row in page.data], page.pagination_token

    def signature_statuses(
        self, signatures: Sequence[bytes], search_history: bool
    ) -> AtSlot[list[Status | None]]:
        """Return the statuses of up to 256 transactions, None for unknown ones.

        Without ``search_history`` one node searches its last 300 or so blocks. With it rooted
        blocks are searched as well, and the other nodes are called for what one does not know:
        None means that no node that responded knows it, and the slot is the latest of theirs.

        Raises:
            ValueError: more than 256 signatures.
        """
        slot = 0
        statuses: list[Status | None] = [None] * len(signatures)
        for answer in self.status_answers(signatures, search_history):
            slot = max(slot, answer.slot)
            statuses = [known or new for known, new in zip(statuses, answer.value, strict=True)]
            if not search_history or None not in statuses:
                break
        return AtSlot(slot, statuses)

    def status_answers(
        self, signatures: Sequence[bytes], search_history: bool
    ) -> Iterator[AtSlot[list[Status | None]]]:
        """Yield each node's own statuses of up to 256 transactions, None for unknown ones.

        Each node is called when its answer is requested. Errors as for :meth:`read`.

        Raises:
            ValueError: more than 256 signatures.
        """
        if len(signatures) > MAX_STATUSES:
            raise ValueError(f"{len(signatures)} signatures, at most {MAX_STATUSES} in one call")
        params = [
            [str(Signature(signature)) for signature in signatures],
            {"searchTransactionHistory": search_history},
        ]
        for answer in self.responses(
            "getSignatureStatuses",
            params,
            Contextual[list[StatusRow | None]],
            _expected(count=len(signatures)),
        ):
            yield AtSlot(
                answer.context.slot,
                [
                    None
                    if row is None
                    else Status(row.slot, row.confirmations, row.err, row.confirmation_status)
                    for row in answer.value
                ],
            )

    def simulate(
        self,
        transaction: bytes,
        commitment: Commitment = "confirmed",
        *,
        verify_signatures: bool = False,
        replace_blockhash: bool = False,
        min_context_slot: int | None = None,
        accounts: Sequence[Pubkey] = (),
    ) -> Simulation:
        """Simulate a serialized transaction; return ``accounts``, of its own, as they are after it.

        An error by which the state of a node or the cluster prevented the execution passes the
        call on to the next endpoint; it is returned only if no endpoint has another result.
        """
        options = _options(
            encoding="base64",
            commitment=commitment,
            sigVerify=verify_signatures,
            replaceRecentBlockhash=replace_blockhash,
            minContextSlot=min_context_slot,
            accounts={"encoding": "base64", "addresses": [str(key) for key in accounts]}
            if accounts
            else None,
        )
        for answer in self.responses(
            "simulateTransaction",
            [b64encode(transaction).decode(), options],
            Contextual[SimulationRow],
            _expected(min_slot=min_context_slot),
        ):
            row = answer.value
            after = [None if found is None else _account(found) for found in row.accounts or ()]
            done = Simulation(
                row.err, row.logs or [], row.units_consumed, answer.context.slot, after
            )
            if row.err is None or transaction_fault(row.err) is not Fault.BEHIND:
                break
        return done

    def send(
        self,
        transaction: bytes,
        min_context_slot: int | None = None,
        preflight_commitment: Commitment = "confirmed",
    ) -> bytes:
        """Send a signed transaction to a node, once, with preflight; return its signature.

        Each repetition for the same transaction starts with another node. An error does not
        prove that the transaction will not land, except a preflight failure (RpcError -32002,
        ``data`` holds the simulation) of bytes that were never sent before.
        """
        options = _options(
            encoding="base64",
            skipPreflight=False,
            preflightCommitment=preflight_commitment,
            maxRetries=0,
            minContextSlot=min_context_slot,
        )
        params = [b64encode(transaction).decode(), options]
        # The first signature follows the number of signatures, which is one byte up to 127.
        return bytes(self.submit("sendTransaction", params, Signature, transaction[1:65]))

    def broadcast(
        self, transaction: bytes, preflight_commitment: Commitment = "confirmed"
    ) -> Broadcast:
        """Send a signed transaction to every node, once each, with preflight.

        A failure at all of them does not prove that the transaction will not land.
        """
        options = _options(
            encoding="base64",
            skipPreflight=False,
            preflightCommitment=preflight_commitment,
            maxRetries=0,
        )
        params = [b64encode(transaction).decode(), options]
        outcomes = self.submit_to_all("sendTransaction", params, Signature)
        failures = [one for one in outcomes if not isinstance(one, Signature)]
        return Broadcast(len(outcomes) - len(failures), failures)

    def heights(
        self, commitment: Commitment, min_context_slot: int | None = None
    ) -> Iterator[BlockHeight]:
        """Yield each node's own block height and its slot, both from one answer.

        Behind one address there may be different nodes, whose answers do not belong together.
        """
        options = _options(commitment=commitment, minContextSlot=min_context_slot)
        for info in self.responses("getEpochInfo", [options], EpochInfo):
            yield BlockHeight(info.absolute_slot, info.block_height)

    def chain_clock(self, commitment: Commitment) -> Clock:
        """Return the clock that the program's time windows are measured by."""
        return clock_in(self.account(CLOCK_SYSVAR, commitment).value)

    def balance(self, address: Pubkey, commitment: Commitment) -> AtSlot[int]:
        """Return the balance of an address in lamports; 0 where there is no account."""
        answer = self.read(
            "getBalance", [str(address), {"commitment": commitment}], Contextual[Unsigned]
        )
        return AtSlot(answer.context.slot, answer.value)

    def airdrop(self, address: Pubkey, lamports: int) -> bytes:
        """Request lamports from a test cluster; return the signature of the transfer."""
        return bytes(self.call("requestAirdrop", [str(address), lamports], Signature))

    def prioritization_fees(self, addresses: Sequence[Pubkey]) -> list[PrioritizationFee]:
        """Return fees that recently landed for transactions that write-lock all ``addresses``."""
        return self.read(
            "getRecentPrioritizationFees",
            [[str(address) for address in addresses]],
            list[PrioritizationFee],
        )

    def genesis_hash(self) -> Hash:
        """Return the hash that identifies this chain among all."""
        return self.read("getGenesisHash", [], Hash)

    def health(self) -> bool:
        """Return whether a node reports itself healthy.

        Raises:
            RpcUnavailable: no node can be reached.
        """
        try:
            return self.call("getHealth", [], str) == "ok"
        except RpcError as error:
            if error.unhealthy:
                return False
            raise
