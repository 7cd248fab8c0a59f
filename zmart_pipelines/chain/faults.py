"""Whose fault an error is: the one table of HTTP statuses, JSON-RPC codes and transaction errors.

What follows from a fault is stated by the properties of :class:`Fault`. The endpoint pool acts
on them when it chooses the next endpoint and reports to the circuit breakers, the submitter when
it decides whether a refusal counts.

Sources: agave's ``rpc-client-api/src/custom_error.rs``, the JSON-RPC 2.0 specification, the
variants of ``TransactionError`` in the crate solana-transaction-error, providers' documentation.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Fault(StrEnum):
    """The party whose fault an error is.

    REQUEST: the call is wrong, and every endpoint refuses it.
    PROGRAM: the transaction was executed, and a program refused it.
    BEHIND: the node has not reached the state that the call needs; it is healthy otherwise.
    NOT_KEPT: the endpoint does not offer the method or keep the data; another one may.
    INTERNAL: the node failed in this call.
    NODE: the node reports that it cannot work.
    PROVIDER: what is in front of the node refused, failed, or sent no usable response.
    RATE_LIMIT: the endpoint asks for a pause.
    """

    REQUEST = "request"
    PROGRAM = "program"
    BEHIND = "behind"
    NOT_KEPT = "not_kept"
    INTERNAL = "internal"
    NODE = "node"
    PROVIDER = "provider"
    RATE_LIMIT = "rate_limit"

    @property
    def ends_call(self) -> bool:
        """Whether no other endpoint is asked."""
        return self in (Fault.REQUEST, Fault.PROGRAM)

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed later at the same endpoint."""
        return not self.ends_call and self is not Fault.NOT_KEPT

    @property
    def opens_breaker(self) -> bool:
        """Whether the endpoint's circuit breaker counts it as a failure."""
        return self in (Fault.INTERNAL, Fault.NODE, Fault.PROVIDER)

    @property
    def stops_reader(self) -> bool:
        """Whether a reader stops, instead of recording the one thing it asked for as missing."""
        return self in (Fault.BEHIND, Fault.NODE)


# HTTP statuses whose JSON-RPC error, if the body holds one, decides. Every other status is the
# word of something in front of the node, whatever the body says.
_BODY_DECIDES: Final = frozenset({200, 400, 404, 405, 413, 415, 422})
_TOO_MANY_REQUESTS: Final = 429

_CODES: Final = MappingProxyType(
    {
        # JSON-RPC 2.0
        -32700: Fault.REQUEST,  # parse error
        -32600: Fault.REQUEST,  # invalid request
        -32601: Fault.NOT_KEPT,  # method not found: plans and nodes differ in what they offer
        -32602: Fault.REQUEST,  # invalid params
        -32603: Fault.INTERNAL,  # internal error
        # Solana
        -32001: Fault.NOT_KEPT,  # block cleaned up
        -32002: Fault.PROGRAM,  # preflight failure
        -32003: Fault.REQUEST,  # signature verification failure
        -32004: Fault.BEHIND,  # block not available yet
        -32005: Fault.NODE,  # node unhealthy: behind by too many slots
        -32006: Fault.REQUEST,  # precompile verification failure
        -32007: Fault.NOT_KEPT,  # slot skipped, or missing in the node's ledger
        -32008: Fault.NOT_KEPT,  # no snapshot
        -32009: Fault.NOT_KEPT,  # slot skipped, or missing in long-term storage
        -32010: Fault.NOT_KEPT,  # key excluded from the account indexes
        -32011: Fault.NOT_KEPT,  # no transaction history
        -32012: Fault.INTERNAL,  # scan error
        -32013: Fault.REQUEST,  # signature length mismatch
        -32014: Fault.BEHIND,  # block status not available yet
        -32015: Fault.REQUEST,  # unsupported transaction version
        -32016: Fault.BEHIND,  # minimum context slot not reached
        -32017: Fault.BEHIND,  # epoch rewards period active
        -32018: Fault.REQUEST,  # slot is not an epoch boundary
        -32019: Fault.NODE,  # long-term storage unreachable
        # Providers, which also send HTTP statuses as codes
        -32429: Fault.RATE_LIMIT,
        _TOO_MANY_REQUESTS: Fault.RATE_LIMIT,
    }
)
# Codes reserved for errors of the server's implementation.
_SERVER_CODES: Final = range(-32099, -31999)

# A verdict on a transaction is possible only where the call holds one. Elsewhere providers give
# these codes other meanings, such as an unavailable resource.
_VERDICTS_ON_TRANSACTIONS: Final = frozenset({-32002, -32003, -32006, -32013})
_METHODS_WITH_TRANSACTION: Final = frozenset({"sendTransaction", "simulateTransaction"})


def status_fault(status: int) -> Fault | None:
    """Return whose fault an HTTP status is by itself; None where the body decides."""
    if status == _TOO_MANY_REQUESTS:
        return Fault.RATE_LIMIT
    return None if status in _BODY_DECIDES else Fault.PROVIDER


def code_fault(code: int, method: str, data: Any = None) -> Fault:
    """Return whose fault a JSON-RPC error is.

    Args:
        code: of the error.
        method: that was called.
        data: of the error; for a preflight failure the simulation.
    """
    if code in _VERDICTS_ON_TRANSACTIONS and method not in _METHODS_WITH_TRANSACTION:
        return Fault.INTERNAL
    fault = _CODES.get(code)
    if fault is None:
        return Fault.INTERNAL if code in _SERVER_CODES else Fault.PROVIDER
    if fault is Fault.PROGRAM and isinstance(data, dict) and data.get("err") is not None:
        return transaction_fault(data["err"])
    return fault


# Variants of TransactionError. Only an instruction's error is a program's verdict. The others
# are found before or around execution, so that programs have no part in them.
TRANSACTION_ERRORS: Final = MappingProxyType(
    {
        "InstructionError": Fault.PROGRAM,
        # The state of the node or the cluster at that moment.
        "AccountBorrowOutstanding": Fault.BEHIND,
        "AccountInUse": Fault.BEHIND,
        "BlockhashNotFound": Fault.BEHIND,
        "ClusterMaintenance": Fault.BEHIND,
        "CommitCancelled": Fault.BEHIND,
        "ProgramAccountNotFound": Fault.BEHIND,
        "ProgramCacheHitMaxLimit": Fault.BEHIND,
        "ProgramExecutionTemporarilyRestricted": Fault.BEHIND,
        "ResanitizationNeeded": Fault.BEHIND,
        "TooManyAccountLocks": Fault.BEHIND,
        "UnbalancedTransaction": Fault.BEHIND,
        "WouldExceedAccountDataBlockLimit": Fault.BEHIND,
        "WouldExceedAccountDataTotalLimit": Fault.BEHIND,
        "WouldExceedMaxAccountCostLimit": Fault.BEHIND,
        "WouldExceedMaxBlockCostLimit": Fault.BEHIND,
        "WouldExceedMaxVoteCostLimit": Fault.BEHIND,
        # The transaction as it was made, or the account that pays for it.
        "AccountLoadedTwice": Fault.REQUEST,
        "AccountNotFound": Fault.REQUEST,
        "AddressLookupTableNotFound": Fault.REQUEST,
        "AlreadyProcessed": Fault.REQUEST,
        "CallChainTooDeep": Fault.REQUEST,
        "DuplicateInstruction": Fault.REQUEST,
        "InsufficientFundsForFee": Fault.REQUEST,
        "InsufficientFundsForRent": Fault.REQUEST,
        "InvalidAccountForFee": Fault.REQUEST,
        "InvalidAccountIndex": Fault.REQUEST,
        "InvalidAddressLookupTableData": Fault.REQUEST,
        "InvalidAddressLookupTableIndex": Fault.REQUEST,
        "InvalidAddressLookupTableOwner": Fault.REQUEST,
        "InvalidLoadedAccountsDataSizeLimit": Fault.REQUEST,
        "InvalidProgramForExecution": Fault.REQUEST,
        "InvalidRentPayingAccount": Fault.REQUEST,
        "InvalidWritableAccount": Fault.REQUEST,
        "MaxLoadedAccountsDataSizeExceeded": Fault.REQUEST,
        "MissingSignatureForFee": Fault.REQUEST,
        "SanitizeFailure": Fault.REQUEST,
        "SignatureFailure": Fault.REQUEST,
        "UnsupportedVersion": Fault.REQUEST,
    }
)


def transaction_fault(error: object) -> Fault:
    """Return whose fault a transaction's error is: PROGRAM, REQUEST or BEHIND.

    Args:
        error: as in JSON, a variant's name or an object with the name as its key. A variant that
            is not known here is one of a newer cluster: BEHIND.
    """
    name = next(iter(error), None) if isinstance(error, dict) else error
    return TRANSACTION_ERRORS.get(name, Fault.BEHIND) if isinstance(name, str) else Fault.BEHIND
