"""The expected ledger: every transaction once, in the chain's order."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ledger.model.provenance import Commitment, Source


def in_order_once(db: Engine, rpc: RpcClient, answers: Mapping[bytes, bytes]) -> None:
    """Ingest what is finalized; ``answers`` are those of getTransaction that are known."""
    readings = []
    for signature in finalized(rpc):
        answer = answers.get(signature) or rpc.transaction(signature, "finalized")
        assert answer is not None
        readings.append(from_rpc(answer, PROGRAM))
    for start in range(0, len(readings), 100):
        ingest_committed(
            db,
            readings[start : start + 100],
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )


def finalized(rpc: RpcClient) -> list[bytes]:
    """The signature of every transaction of the program in the chain's order."""
    signatures: list[bytes] = []
    while True:
        before = signatures[-1] if signatures else None
        page = rpc.signatures_for_address(PROGRAM, before=before)
        signatures += [row.signature for row in page]
        if not page:
            return signatures[::-1]
