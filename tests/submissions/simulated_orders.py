"""In which order things are done: ours, and wrong ones as controls.

Each wrong one has been production code somewhere. A simulation that does not catch them
proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from zmart_pipelines.submissions import machine, messages
from zmart_pipelines.submissions.machine import MachineState, Phase

Transition = Callable[[MachineState, messages.Event], machine.Transition]


def by_the_clock(state: MachineState, event: messages.Event) -> machine.Transition:
    """Sign again after a while, whatever the state of the old blockhash."""
    if state.phase is Phase.SENDING and isinstance(event, messages.Tick) and state.sends >= 4:
        return msgspec.structs.replace(state, phase=Phase.ENDED), (
            messages.MarkDead("timeout", 0.0, 0),
        )
    return machine.step(state, event)


def any_node(state: MachineState, event: messages.Event) -> machine.Transition:
    """Wait for expiry, then trust any node that does not know the signature."""
    if state.phase is Phase.SENDING and state.expired_at is not None:
        match event:
            case messages.Tick():
                return state, (messages.ReadStatus(history=True),)
            case messages.StatusSeen(landed_slot=None):
                ended = msgspec.structs.replace(state, phase=Phase.ENDED)
                return ended, (messages.MarkDead("not found", 0.0, 0),)
    return machine.step(state, event)


class Order(msgspec.Struct, frozen=True):
    """How it is gone about.

    ``send_first``: bytes leave before they are stored. ``two_answers``: height and slot are
    read from two answers, which may be two nodes'. ``count_first``: the ballots are counted
    before the transaction that freezes them.
    """

    step: Transition = machine.step
    send_first: bool = False
    two_answers: bool = False
    count_first: bool = False


ORDERS: dict[str, Order] = {
    "ours": Order(),
    "send, then record": Order(send_first=True),
    "by the clock": Order(by_the_clock),
    "any node": Order(any_node),
    "two answers": Order(two_answers=True),
    "count, then freeze": Order(count_first=True),
}
