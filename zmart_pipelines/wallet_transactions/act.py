"""The form of an act: what every module in ``acts`` states."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import ClassVar, Literal

import msgspec
from msgspec import StructMeta
from solders.instruction import Instruction

from zmart_pipelines.program.accounts import VoteKind
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Refusal

Subject = Literal["market", "new market", "protocol"]


class _ActMeta(StructMeta, ABCMeta):
    """Structs with abstract methods."""


class Act(msgspec.Struct, frozen=True, kw_only=True, metaclass=_ActMeta):
    """Something that a wallet can do on chain; the fields are its arguments.

    The market and the wallet are in the view. The class's docstring is its description for
    clients, and the types of the fields are the limits that requests are held to.
    """

    NAME: ClassVar[str]
    """The act's name in paths, in kebab case."""
    SUBJECT: ClassVar[Subject] = "market"
    VOTE: ClassVar[VoteKind | None] = None
    """The kind of vote that it casts on chain."""

    @abstractmethod
    def instruction(self, view: ChainView) -> Instruction:
        """Return the program's instruction."""

    @abstractmethod
    def refusal(self, view: ChainView) -> Refusal | None:
        """Return why the program would refuse, in its own order of checks; None if it accepts.

        The wallet's balance is checked by ``funds``, what only the program knows by the
        simulation.
        """

    @abstractmethod
    def effects(self, view: ChainView) -> Effects:
        """Return what it does; only where there is no refusal."""
