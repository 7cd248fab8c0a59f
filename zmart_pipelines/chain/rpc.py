"""The RPC methods of a Solana node that this project uses, with typed answers.

https://solana.com/docs/rpc/http. Levels of commitment: ``processed``, ``confirmed``,
``finalized``. ``min_context_slot`` makes a node that has not reached that slot refuse
instead of answering from the past. Errors: see ``zmart_pipelines.chain.jsonrpc``; which
node answers: ``zmart_pipelines.chain.endpoint_pool``.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines import base58
from zmart_pipelines.chain.endpoint_pool import EndpointPool
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc_types import (
    AccountData,
    AccountRow,
    AtSlot,
    Blockhash,
    BlockhashRow,
    Clock,
    Commitment,
    Contextual,
    KeyedRow,
    PrioritizationFee,
    SignatureInfo,
    SignatureRow,
    Simulation,
    SimulationRow,
    Status,
    StatusRow,
    TransactionPage,
)
from zmart_pipelines.program.ids import CLOCK_SYSVAR

MAX_ACCOUNTS = 100
MAX_STATUSES = 256
# Clock: slot u64, epoch_start_timestamp i64, epoch u64, leader_schedule_epoch u64,
# unix_timestamp i64.
_CLOCK = struct.Struct("<QqQQq")


def _options(**values: Any) -> dict[str, Any]:
    """A configuration object without what is None."""
    return {name: value for name, value in values.items() if value is not None}


def _account(row: AccountRow) -> AccountData:
    return AccountData(row.owner, row.lamports, row.data[0], row.executable)


class RpcClient(EndpointPool):
    """The nodes of one cluster, synchronous. Usable from several threads."""

    def slot(self, commitment: Commitment) -> int:
        """The slot the node has reached."""
        return self.read("getSlot", [{"commitment": commitment}], int)

    def block_height(self, commitment: Commitment) -> int:
        """The number of blocks below the node's newest; skipped slots do not count."""
        return self.read("getBlockHeight", [{"commitment": commitment}], int)

    def blocks(
        self,
        first_slot: int,
        last_slot: int,
        commitment: Literal["confirmed", "finalized"] = "finalized",
    ) -> list[int]:
        """The slots with a block from first to last, inclusive, ascending.

        The chain as this node has it at that commitment: what lies before the last of them and
        is not among them was skipped. Ends early at a node that is behind.
        """
        return self.read(
            "getBlocks", [first_slot, last_slot, {"commitment": commitment}], list[int]
        )

    def first_available_block(self) -> int:
        """The lowest slot from which on the node has the history."""
        return self.read("getFirstAvailableBlock", [], int)

    def latest_blockhash(self, commitment: Commitment) -> Blockhash:
        """A blockhash to sign with."""
        answer = self.read(
            "getLatestBlockhash", [{"commitment": commitment}], Contextual[BlockhashRow]
        )
        value = answer.value
        return Blockhash(value.blockhash, value.last_valid_block_height, answer.context.slot)

    def account(
        self, address: Pubkey, commitment: Commitment, min_context_slot: int | None = None
    ) -> AtSlot[AccountData | None]:
        """An account, None where there is none."""
        options = _options(
            encoding="base64", commitment=commitment, minContextSlot=min_context_slot
        )
        answer = self.read("getAccountInfo", [str(address), options], Contextual[AccountRow | None])
        row = answer.value
        return AtSlot(answer.context.slot, None if row is None else _account(row))

    def accounts(
        self,
        addresses: Sequence[Pubkey],
        commitment: Commitment,
        min_context_slot: int | None = None,
    ) -> AtSlot[list[AccountData | None]]:
        """Up to 100 accounts as of one slot, in the order asked for; more is a ValueError."""
        if len(addresses) > MAX_ACCOUNTS:
            raise ValueError(f"{len(addresses)} accounts, at most {MAX_ACCOUNTS} in one call")
        options = _options(
            encoding="base64", commitment=commitment, minContextSlot=min_context_slot
        )
        answer = self.read(
            "getMultipleAccounts",
            [[str(address) for address in addresses], options],
            Contextual[list[AccountRow | None]],
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
        """All accounts of a program that start with ``discriminator``, as of one slot.

        ``filters`` are (offset, bytes) that the account's data must hold as well.
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
            "getProgramAccounts", [str(program), options], Contextual[list[KeyedRow]]
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
        """Transactions that name an address, newest first, at most ``limit`` (1000).

        A node that does not know ``until`` answers the newest page as if it were not
        given; do not rely on it as the end.
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
        """A transaction as raw JSON for ``transactions.from_rpc``; None where no node knows it.

        RpcError where its version is newer than 0.
        """
        options = {
            "encoding": "json",
            "commitment": commitment,
            "maxSupportedTransactionVersion": 0,
        }
        params = [str(Signature(signature)), options]
        for answer in self.answers("getTransaction", params, msgspec.Raw):
            if bytes(answer) != b"null":
                return bytes(answer)
        return None

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
        """Whole transactions that name an address, the oldest first, a page of them.

        Only some providers offer it; elsewhere RpcError -32601.
        https://www.helius.dev/docs/rpc/gettransactionsforaddress

        :param limit: at most 100, which every provider of it allows.
        :returns: raw JSON for ``transactions.from_rpc``, and the token of the next page.
        """
        options = _options(
            transactionDetails="full",
            sortOrder="asc",
            limit=limit,
            commitment=commitment,
            encoding="json",
            maxSupportedTransactionVersion=0,
            filters={"slot": {"gte": first_slot, "lte": last_slot}},
            paginationToken=token,
        )
        page = self.read("getTransactionsForAddress", [str(address), options], TransactionPage)
        return [bytes(row) for row in page.data], page.pagination_token

    def signature_statuses(
        self, signatures: Sequence[bytes], search_history: bool
    ) -> AtSlot[list[Status | None]]:
        """What the nodes know of up to 256 transactions; None for what they do not know.

        Without ``search_history`` one node looks at its last 300 or so blocks. With it rooted
        blocks are looked at as well, and what a node does not know the others are asked for:
        None means that no node that answered knows it, and the slot is the latest of theirs.
        """
        if len(signatures) > MAX_STATUSES:
            raise ValueError(f"{len(signatures)} signatures, at most {MAX_STATUSES} in one call")
        params = [
            [str(Signature(signature)) for signature in signatures],
            {"searchTransactionHistory": search_history},
        ]
        slot = 0
        statuses: list[Status | None] = [None] * len(signatures)
        for answer in self.answers(
            "getSignatureStatuses", params, Contextual[list[StatusRow | None]]
        ):
            slot = max(slot, answer.context.slot)
            seen = [
                None
                if row is None
                else Status(row.slot, row.confirmations, row.err, row.confirmation_status)
                for row in answer.value
            ]
            statuses = [one or other for one, other in zip(statuses, seen, strict=True)]
            if not search_history or None not in statuses:
                break
        return AtSlot(slot, statuses)

    def simulate(
        self,
        transaction: bytes,
        commitment: Commitment = "confirmed",
        *,
        verify_signatures: bool = False,
        replace_blockhash: bool = False,
        min_context_slot: int | None = None,
    ) -> Simulation:
        """Run a serialized transaction without sending it."""
        options = _options(
            encoding="base64",
            commitment=commitment,
            sigVerify=verify_signatures,
            replaceRecentBlockhash=replace_blockhash,
            minContextSlot=min_context_slot,
        )
        answer = self.read(
            "simulateTransaction",
            [b64encode(transaction).decode(), options],
            Contextual[SimulationRow],
        )
        row = answer.value
        return Simulation(row.err, row.logs or [], row.units_consumed, answer.context.slot)

    def send(
        self,
        transaction: bytes,
        min_context_slot: int | None = None,
        preflight_commitment: Commitment = "confirmed",
    ) -> bytes:
        """Hand a signed transaction to a node, once, with preflight; its signature.

        One node that takes it, another one at each repetition. An error does not prove that it
        will not land, except a preflight failure (RpcError -32002, ``data`` holds the
        simulation) of bytes that were never sent before.
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

    def chain_clock(self, commitment: Commitment) -> Clock:
        """The clock that the program's time windows are measured by."""
        account = self.account(CLOCK_SYSVAR, commitment).value
        if account is None or len(account.data) != _CLOCK.size:
            raise RpcUnavailable("unexpected result: no Clock sysvar")
        slot, _, _, _, unix_timestamp = _CLOCK.unpack(account.data)
        return Clock(slot, unix_timestamp)

    def balance(self, address: Pubkey, commitment: Commitment) -> AtSlot[int]:
        """The lamports of an address; 0 where there is no account."""
        answer = self.read(
            "getBalance", [str(address), {"commitment": commitment}], Contextual[int]
        )
        return AtSlot(answer.context.slot, answer.value)

    def airdrop(self, address: Pubkey, lamports: int) -> bytes:
        """Ask a test cluster for lamports; the signature of the transfer."""
        return bytes(self.call("requestAirdrop", [str(address), lamports], Signature))

    def prioritization_fees(self, addresses: Sequence[Pubkey]) -> list[PrioritizationFee]:
        """Fees that recently landed for transactions that lock all these as writable."""
        return self.read(
            "getRecentPrioritizationFees",
            [[str(address) for address in addresses]],
            list[PrioritizationFee],
        )

    def genesis_hash(self) -> Hash:
        """The hash that names this chain among all."""
        return self.read("getGenesisHash", [], Hash)

    def health(self) -> bool:
        """Whether a node calls itself healthy; RpcUnavailable where it cannot be reached."""
        try:
            return self.call("getHealth", [], str) == "ok"
        except RpcError as error:
            if error.unhealthy:
                return False
            raise
