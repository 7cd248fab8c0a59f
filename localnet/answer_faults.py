"""Faults of the answers' content: nodes that leave out what they should hold, or repeat it.

Unlike the other faults, these give well-formed answers that are wrong, which no client can tell
from one answer alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from localnet.faults import Fault, FaultKind
from localnet.rpc.errors import UNSUPPORTED_VERSION

Call = dict[str, Any]


def altered_request(fault: Fault, request: Any) -> Any:
    """Return the request that the node executes instead."""
    if fault.kind is not FaultKind.CIRCULAR_LISTING:
        return request
    if isinstance(request, list):
        return [altered_request(fault, call) for call in request]
    params = [
        {name: member for name, member in value.items() if name != "before"}
        if isinstance(value, dict)
        else value
        for value in request.get("params") or []
    ]
    return {**request, "params": params}


def alter_answer(fault: Fault, request: Any, answer: Any, first_stored_slot: int) -> None:
    """Alter a decoded answer, or the answers of a batch, in place.

    Args:
        first_stored_slot: where the local storage of the node begins, for LOCAL_STORAGE.
    """
    if isinstance(request, list):
        for call, one in zip(request, answer, strict=True):
            alter_answer(fault, call, one, first_stored_slot)
        return
    if "error" not in answer and request.get("method") in fault.methods:
        _ALTERATIONS[fault.kind](fault, request, answer, first_stored_slot)


def _without_logs(fault: Fault, _: Call, answer: Call, __: int) -> None:
    if answer["result"] is not None:
        answer["result"]["meta"]["logMessages"] = [] if fault.kind is FaultKind.EMPTY_LOGS else None


def _without_inner_instructions(_: Fault, __: Call, answer: Call, ___: int) -> None:
    if answer["result"] is not None:
        answer["result"]["meta"]["innerInstructions"] = None


def _short_page(fault: Fault, _: Call, answer: Call, __: int) -> None:
    answer["result"] = answer["result"][: fault.rows]


def _from_local_storage(_: Fault, request: Call, answer: Call, first: int) -> None:
    method, result = request["method"], answer["result"]
    if method == "getSignaturesForAddress":
        answer["result"] = [row for row in result if row["slot"] >= first]
    elif method == "getFirstAvailableBlock":
        answer["result"] = max(first, result)
    elif result is not None and result["slot"] < first:
        answer["result"] = None


def _of_version(fault: Fault, request: Call, answer: Call, _: int) -> None:
    """Present a transaction as one of a newer version, which has no lookup tables."""
    result = answer["result"]
    if result is None:
        return
    options = request["params"][1]
    supported = options.get("maxSupportedTransactionVersion")
    if supported is None or supported < fault.version:
        del answer["result"]
        answer["error"] = {
            "code": UNSUPPORTED_VERSION,
            "message": f"Transaction version ({fault.version}) is not supported by the requesting "
            "client. Please try the request again with the following configuration parameter: "
            f'"maxSupportedTransactionVersion": {fault.version}',
        }
        return
    message, loaded = result["transaction"]["message"], result["meta"]["loadedAddresses"]
    message["accountKeys"] += loaded["writable"] + loaded["readonly"]
    message.pop("addressTableLookups", None)
    message["transactionConfig"] = {
        "computeUnitLimit": 200_000,
        "heapSize": None,
        "loadedAccountsDataSizeLimit": None,
        "priorityFee": None,
    }
    result["meta"]["loadedAddresses"] = {"writable": [], "readonly": []}
    result["version"] = fault.version


_ALTERATIONS: Final[dict[FaultKind, Callable[[Fault, Call, Call, int], None]]] = {
    FaultKind.EMPTY_LOGS: _without_logs,
    FaultKind.NULL_LOGS: _without_logs,
    FaultKind.NO_INNER_INSTRUCTIONS: _without_inner_instructions,
    FaultKind.SHORT_PAGE: _short_page,
    FaultKind.CIRCULAR_LISTING: lambda *_: None,
    FaultKind.LOCAL_STORAGE: _from_local_storage,
    FaultKind.TRANSACTION_VERSION: _of_version,
}
