"""Records the chain that the checks run on: ``python -m tests.assets.recorded.make``.

A local chain plays four markets: one disputed, finalized, claimed and emptied, one finalized
and claimed in part, one that is traded, one cancelled; with votes on chain, a change of the
configuration and a transaction that failed.
"""

from __future__ import annotations

import random
import tempfile
from base64 import b64encode
from pathlib import Path

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.fixtures.localnet import Localnet
from tests.ledger.onchain import Stage
from tests.ledger.recorded_rpc import address
from zmart_pipelines.chain.recording import record
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program import instructions as ix

FILE = Path(__file__).with_name("chain.json.gz")
EVIDENCE = b"Qm" + b"e" * 44


def play(chain: Localnet) -> Stage:
    """The whole story, finalized."""
    stage = Stage(chain)
    program = chain.program
    dice = random.Random(5)
    disputed, plain, traded, cancelled = (stage.create(number) for number in range(1, 5))

    def send(instruction: Instruction, payer: Keypair) -> None:
        stage.send(instruction, payer)
        stage.step()

    for user in stage.users:
        send(
            ix.submit_proposal_vote(
                program, user=user.pubkey(), market=address(disputed), vote=True
            ),
            user,
        )
    send(
        ix.cancel_market(program, admin=stage.admin.pubkey(), market=address(cancelled)),
        stage.admin,
    )
    for market in (disputed, plain, traded):
        stage.open(market)
    stage.market_ids = [disputed, plain, traded]
    stage.trade_at_random(dice, 60)
    stage.step()
    for market in (disputed, plain):
        send(
            ix.resolve_market(
                program,
                resolver=stage.users[0].pubkey(),
                market=address(market),
                outcome=True,
                evidence_hash=EVIDENCE,
            ),
            stage.users[0],
        )
    send(
        ix.initiate_dispute(program, initiator=stage.users[1].pubkey(), market=address(disputed)),
        stage.users[1],
    )
    for user in stage.users[:2]:
        send(
            ix.submit_dispute_vote(
                program, user=user.pubkey(), market=address(disputed), vote=True
            ),
            user,
        )
    chain.control.advance(slots=2, seconds=120)
    for market, agree in ((disputed, 7), (plain, None)):
        send(
            ix.finalize_market(
                program,
                backend_authority=stage.backend.pubkey(),
                market=address(market),
                dispute_agree=agree,
                dispute_disagree=None if agree is None else 2,
            ),
            stage.backend,
        )
    for market, holders in ((disputed, stage.users), (plain, stage.users[:1])):
        for user in holders:
            send(claiming(program, user.pubkey(), market, stage.users[0].pubkey()), user)
    send(
        ix.withdraw_liquidity(program, creator=stage.users[0].pubkey(), market=address(disputed)),
        stage.users[0],
    )
    # Fails on the chain: it is claimed already.
    recent = stage.rpc.latest_blockhash("processed")
    again = claiming(program, stage.users[0].pubkey(), plain, stage.users[0].pubkey())
    signed = build_transaction(stage.users[0].pubkey(), [again], recent.hash, [stage.users[0]])
    options = {"encoding": "base64", "skipPreflight": True}
    chain.result("sendTransaction", b64encode(signed).decode(), options)
    stage.step()
    send(
        ix.update_global_config(
            program,
            admin=stage.admin.pubkey(),
            protocol_fee_bps=200,
            resolver_reward_bps=100,
            liquidity_provider_fee_bps=300,
            proposal_approval_threshold=7000,
            dispute_success_threshold=6000,
        ),
        stage.admin,
    )
    stage.market_ids = [traded]
    stage.trade_at_random(dice, 20)
    chain.control.finalize()
    return stage


def claiming(program: Pubkey, user: Pubkey, market: bytes, resolver: Pubkey) -> Instruction:
    return ix.claim_winnings(program, user=user, market=address(market), resolver=resolver)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        chain = Localnet(Path(folder) / "chain", "--seed", "7", "--manual-clock", "--no-webhook")
        try:
            stage = play(chain)
            record(stage.rpc, chain.program).write(FILE)
        finally:
            chain.close()


if __name__ == "__main__":
    main()
