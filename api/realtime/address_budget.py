"""What one client address may cause in a minute, over all its sockets and reconnects."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

# Most addresses that are tracked; beyond it the least recently used get a fresh budget.
MAX_ADDRESSES: Final = 10_000


class TokenBucket:
    """An amount that refills evenly within a minute.

    What is taken may exceed what is there; nothing more is available until the debt is refilled.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start full."""
        self._capacity = float(per_minute)
        self._clock = clock
        self._level = self._capacity
        self._filled_at = clock()

    def is_empty(self) -> bool:
        """Return whether nothing is there at the moment."""
        return self._refilled() <= 0

    def _refilled(self) -> float:
        now = self._clock()
        refilled = (now - self._filled_at) * self._capacity / 60
        self._level = min(self._capacity, self._level + refilled)
        self._filled_at = now
        return self._level

    def spend(self, amount: int) -> None:
        """Take ``amount``, whether it is there or not."""
        self._level = self._refilled() - amount

    def take(self, amount: int) -> bool:
        """Take ``amount`` if anything is there, and return whether it was taken."""
        if self.is_empty():
            return False
        self.spend(amount)
        return True


class AddressBudget:
    """The budget of one address.

    Attributes:
        messages: Connections and messages of its clients.
        replayed_bytes: Bytes of missed frames that are sent to them.
    """

    def __init__(self, messages: int, replayed_bytes: int) -> None:
        self.messages = TokenBucket(messages)
        self.replayed_bytes = TokenBucket(replayed_bytes)


class AddressBudgets:
    """The budgets of all addresses seen lately."""

    def __init__(self, messages: int, replayed_bytes: int) -> None:
        """Give every address so much per minute."""
        self._messages = messages
        self._replayed_bytes = replayed_bytes
        self._budgets: OrderedDict[str, AddressBudget] = OrderedDict()

    def of(self, address: str) -> AddressBudget:
        """Return the budget of ``address``."""
        budget = self._budgets.get(address)
        if budget is None:
            budget = self._budgets[address] = AddressBudget(self._messages, self._replayed_bytes)
            if len(self._budgets) > MAX_ADDRESSES:
                self._budgets.popitem(last=False)
        else:
            self._budgets.move_to_end(address)
        return budget
