"""A chain's history as webhook bodies: the lives of many markets, played on the reference model.

Every market is proposed, voted on, approved and traded; most are also resolved (some after a
dispute), finalized, claimed from and withdrawn from. The lives run in parallel. Logs and
instructions are those of the real program, each after two compute budget instructions.
"""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.chain.payloads import transaction
from tests.reference_model.account_frame import Cell
from tests.reference_model.model import Model
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.events import Event, encode_event, event_name
from zmart_pipelines.program.ids import COMPUTE_BUDGET, SYSTEM_PROGRAM
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

SOL: Final = 10**9
FIRST_SLOT: Final = 1_000_000
START: Final = 1_790_000_000
WINDOW: Final = 15
BODY: Final = 100
USERS: Final = 300
ALIVE: Final = 40  # markets whose lives run in parallel
TRADES: Final = 85  # of one market
TRADERS: Final = 20
SLOT_SECONDS: Final = 0.4


class History:
    """Plays lives until there are enough transactions; the same seed gives the same history."""

    def __init__(self, seed: int = 1) -> None:
        self._dice = random.Random(seed)
        self._model = Model(PROGRAM)
        self._admin, self._backend, self._fees = self._wallet(), self._wallet(), self._wallet()
        self._users = [self._wallet() for _ in range(USERS)]
        self._slot = FIRST_SLOT
        self._index = 0
        self._done = 0
        self._lives: list[_Life] = []

    @property
    def slots(self) -> int:
        """The number of slots used so far."""
        return self._slot - FIRST_SLOT + 1

    def _wallet(self) -> Pubkey:
        key = Pubkey(self._dice.randbytes(32))
        self._model.cells[key] = Cell(100_000 * SOL)
        return key

    def bodies(self, transactions: int) -> Iterator[bytes]:
        """Return raw webhook bodies of 100 transactions each."""
        elements = self.elements()
        for _ in range(transactions // BODY):
            yield json.dumps([next(elements) for _ in range(BODY)]).encode()

    def elements(self) -> Iterator[dict[str, Any]]:
        """Yield the transactions one by one, without end, from the current position."""
        for instruction in self._configuration() if self._done == 0 else ():
            element = self._execute(instruction)
            if element is None:
                raise AssertionError("the program must accept its configuration")
            yield element
        while True:
            while len(self._lives) < ALIVE:
                self._lives.append(self._life())
            life = self._dice.choice(self._lives)
            element = self._execute(life.next)
            if element is not None or not life.repeated:
                life.proceed()
            if life.ended:
                self._lives.remove(life)
            if element is not None:
                yield element

    def _execute(self, instruction: Instruction) -> dict[str, Any] | None:
        """Return the transaction, or None if the program rejects it."""
        payer = next(meta.pubkey for meta in instruction.accounts if meta.is_signer)
        if self._dice.random() < 0.5:
            self._slot += 1
            self._index = 0
        now = START + int((self._slot - FIRST_SLOT) * SLOT_SECONDS)
        result = self._model.process(instruction, payer, now)
        if result.error is not None or not result.events:
            return None
        self._done += 1
        self._index += self._dice.randint(1, 400)
        budget = [set_compute_unit_limit(200_000), set_compute_unit_price(self._done)]
        element = transaction(
            [*budget, instruction],
            log_of(result.events),
            payer=payer,
            slot=self._slot,
            place=self._index,
        )
        element["blockTime"] = now
        element["transaction"]["signatures"] = [str(Signature(self._dice.randbytes(64)))]
        return element

    def _configuration(self) -> list[Instruction]:
        return [
            ix.initialize_global_config(
                PROGRAM,
                admin=self._admin,
                backend_authority=self._backend,
                protocol_fee_wallet=self._fees,
            ),
            ix.update_global_config(
                PROGRAM,
                admin=self._admin,
                protocol_fee_bps=300,
                resolver_reward_bps=200,
                liquidity_provider_fee_bps=500,
                proposal_approval_threshold=7000,
                dispute_success_threshold=6000,
                min_resolution_delay=30,
                dispute_period=WINDOW,
            ),
        ]

    def _life(self) -> _Life:
        dice = self._dice
        market_id = dice.randbytes(32)
        market = market_address(PROGRAM, market_id)[0]
        traders = dice.sample(self._users, TRADERS)
        creator = traders[0]
        steps = [
            ix.create_market(
                PROGRAM,
                creator=creator,
                market_id=market_id,
                b_parameter=dice.randint(100, 1000) * SOL,
                initial_liquidity=SOL // 10,
                question_hash=b"Qm" + market_id.hex().encode()[:44],
            )
        ]
        steps += [
            ix.submit_proposal_vote(PROGRAM, user=user, market=market, vote=dice.random() < 0.9)
            for user in traders[:3]
        ]
        steps += [
            ix.aggregate_proposal_votes(
                PROGRAM, backend_authority=self._backend, market=market, likes=9, dislikes=1
            ),
            ix.approve_proposal(PROGRAM, admin=self._admin, market=market),
            ix.activate_market(PROGRAM, authority=creator, market=market),
        ]
        steps += [
            ix.buy_shares(
                PROGRAM,
                user=dice.choice(traders),
                market=market,
                protocol_fee_wallet=self._fees,
                outcome=dice.random() < 0.5,
                target_cost=dice.randint(SOL // 100, 2 * SOL),
            )
            for _ in range(TRADES)
        ]
        steps.append(
            ix.resolve_market(
                PROGRAM,
                resolver=creator,
                market=market,
                outcome=dice.random() < 0.5,
                evidence_hash=b"Qm" + b"e" * 44,
            )
        )
        counts: dict[str, int] = {}
        if dice.random() < 0.1:
            steps.append(ix.initiate_dispute(PROGRAM, initiator=traders[1], market=market))
            steps += [
                ix.submit_dispute_vote(PROGRAM, user=user, market=market, vote=True)
                for user in traders[:3]
            ]
            counts = {"dispute_agree": 1, "dispute_disagree": 2}
        repeated = len(steps)
        steps.append(
            ix.finalize_market(PROGRAM, backend_authority=self._backend, market=market, **counts)
        )
        steps += [
            ix.claim_winnings(PROGRAM, user=user, market=market, resolver=creator)
            for user in traders
        ]
        steps.append(ix.withdraw_liquidity(PROGRAM, creator=creator, market=market))
        return _Life(steps, repeated)


class _Life:
    """The steps of one market; a ``repeated`` step is repeated until the program accepts it."""

    def __init__(self, steps: Sequence[Instruction], repeated: int) -> None:
        self._steps = steps
        self._at = 0
        self._repeated = repeated

    @property
    def next(self) -> Instruction:
        return self._steps[self._at]

    @property
    def repeated(self) -> bool:
        return self._at == self._repeated

    @property
    def ended(self) -> bool:
        return self._at == len(self._steps)

    def proceed(self) -> None:
        self._at += 1


def log_of(events: Sequence[Event]) -> list[str]:
    """Return the log lines of a transaction like those of ``History``."""
    lines = []
    for _ in range(2):
        lines += [f"Program {COMPUTE_BUDGET} invoke [1]", f"Program {COMPUTE_BUDGET} success"]
    lines += [
        f"Program {PROGRAM} invoke [1]",
        f"Program log: Instruction: {event_name(events[0])}",
        f"Program {SYSTEM_PROGRAM} invoke [2]",
        f"Program {SYSTEM_PROGRAM} success",
    ]
    lines += [f"Program data: {b64encode(encode_event(event)).decode()}" for event in events]
    return [
        *lines,
        f"Program {PROGRAM} consumed 45120 of 199700 compute units",
        f"Program {PROGRAM} success",
    ]
