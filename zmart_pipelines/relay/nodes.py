"""What the nodes say of relayed transactions, as events of the machine.

A node that does not answer says nothing: the others decide, or the next round asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import MAX_STATUSES, RpcClient
from zmart_pipelines.chain.rpc_types import Status
from zmart_pipelines.program.errors import describe
from zmart_pipelines.relay import machine

# A node that has executed the transaction says so, where it is asked to take it once more.
ALREADY_PROCESSED: Final = "AlreadyProcessed"

_NODE_ERRORS: Final = (RpcError, RpcUnavailable)


def send(rpc: RpcClient, transaction: bytes) -> machine.Sent:
    """Send the bytes to every node once."""
    outcome = rpc.broadcast(transaction)
    errors = [error for failure in outcome.failures if (error := _preflight_error(failure))]
    if outcome.accepted or ALREADY_PROCESSED in errors:
        return machine.Sent(max(outcome.accepted, 1))
    return machine.Sent(0, describe(errors[0]) if errors else "no node could be reached")


def _preflight_error(failure: Exception) -> Any:
    """Return the transaction's error in a node's refusal, None where it is about something else."""
    data = failure.data if isinstance(failure, RpcError) else None
    return data.get("err") if isinstance(data, dict) else None


def read_statuses(
    rpc: RpcClient, signatures: Sequence[bytes], *, history: bool
) -> dict[bytes, list[machine.NodeAnswer]]:
    """Ask one node after the other until each signature is known to one of them.

    Returns:
        The answers by signature; none where no node answered.
    """
    answers: dict[bytes, list[machine.NodeAnswer]] = {}
    for start in range(0, len(signatures), MAX_STATUSES):
        part = signatures[start : start + MAX_STATUSES]
        try:
            answers |= _ask(rpc, part, history=history)
        except _NODE_ERRORS:
            continue
    return answers


def _ask(
    rpc: RpcClient, signatures: Sequence[bytes], *, history: bool
) -> dict[bytes, list[machine.NodeAnswer]]:
    answers: dict[bytes, list[machine.NodeAnswer]] = {one: [] for one in signatures}
    for answer in rpc.status_answers(signatures, search_history=history):
        for signature, status in zip(signatures, answer.value, strict=True):
            answers[signature].append(machine.NodeAnswer(answer.slot, _landed(status)))
        if all(_is_known(answered) for answered in answers.values()):
            break
    return answers


def _is_known(answers: Sequence[machine.NodeAnswer]) -> bool:
    return any(answer.landed is not None for answer in answers)


def _landed(status: Status | None) -> machine.Landed | None:
    # A block that is only processed may be dropped, also by the node that reports it.
    if status is None or status.commitment == "processed":
        return None
    return machine.Landed(status.slot, status.commitment == "finalized", status.error)


def read_heights(rpc: RpcClient) -> Iterator[machine.HeightSeen]:
    """Yield the finalized height of each node that answers."""
    try:
        for info in rpc.heights("finalized"):
            yield machine.HeightSeen(info.slot, info.height)
    except _NODE_ERRORS:
        return


def observations(
    answers: Mapping[bytes, Sequence[machine.NodeAnswer]], *, history: bool
) -> Iterator[tuple[bytes, machine.Landed | machine.Unknown]]:
    """Yield what the nodes that answered say of each signature."""
    for signature, answered in answers.items():
        if answered:
            yield signature, machine.observation(answered, history=history)
