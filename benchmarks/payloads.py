"""A webhook body like Helius': many buys, each with the log of a real one."""

from __future__ import annotations

import json
import random
from base64 import b64encode

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.chain.payloads import transaction
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.events import SharesBought, encode_event
from zmart_pipelines.program.ids import COMPUTE_BUDGET, DEFAULT_PROGRAM_ID, SYSTEM_PROGRAM
from zmart_pipelines.program.instructions import buy_shares

PROGRAM = DEFAULT_PROGRAM_ID
MARKETS = 20
# A buy calls the system program, which is the fifth account, for two transfers.
TRANSFERS = [
    {
        "index": 2,
        "instructions": [
            {"accounts": [0, to], "data": "3Bxs4h24hBtQy9rw", "programIdIndex": 4, "stackHeight": 2}
            for to in (1, 2)
        ],
    }
]


def bought_log(event: SharesBought) -> list[str]:
    """Return the 12 log lines of a buy: compute budget, program, two transfers, event."""
    payload = b64encode(encode_event(event)).decode()
    return [
        f"Program {COMPUTE_BUDGET} invoke [1]",
        f"Program {COMPUTE_BUDGET} success",
        f"Program {PROGRAM} invoke [1]",
        "Program log: Instruction: BuyShares",
        f"Program {SYSTEM_PROGRAM} invoke [2]",
        f"Program {SYSTEM_PROGRAM} success",
        f"Program {SYSTEM_PROGRAM} invoke [2]",
        f"Program {SYSTEM_PROGRAM} success",
        "Program log: State transition: Active -> Active",
        f"Program data: {payload}",
        f"Program {PROGRAM} consumed 45120 of 199700 compute units",
        f"Program {PROGRAM} success",
    ]


def webhook_body(count: int, seed: int = 1) -> bytes:
    """Return a body of ``count`` transactions with one event each; the same for the same seed."""
    dice = random.Random(seed)
    ids = [dice.randbytes(32) for _ in range(MARKETS)]
    wallet = Pubkey(dice.randbytes(32))
    elements = []
    for number in range(count):
        market_id = dice.choice(ids)
        user = Pubkey(dice.randbytes(32))
        shares = dice.randrange(10**6, 10**12)
        event = SharesBought(
            market_id, bytes(user), dice.random() < 0.5, shares, shares // 2, 5 * 10**8, number
        )
        purchase = buy_shares(
            PROGRAM,
            user=user,
            market=market_address(PROGRAM, market_id)[0],
            protocol_fee_wallet=wallet,
            outcome=event.outcome,
            target_cost=event.cost,
        )
        budget = [set_compute_unit_limit(200_000), set_compute_unit_price(1)]
        element = transaction(
            [*budget, purchase], bought_log(event), payer=user, slot=number, inner=TRANSFERS
        )
        element["transaction"]["signatures"] = [str(Signature(dice.randbytes(64)))]
        elements.append(element)
    return json.dumps(elements).encode()
