"""The dashboard's recount against the chain: it sees every lie that ``zmart verify-tally`` sees."""

from __future__ import annotations

import copy
import json
from typing import Any

from solders.signature import Signature

from tests.fixtures.browser_recount import Case, recount_in_browser
from tests.submissions.test_verify_tally import LIES, voted
from tests.submissions.world import World
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.submissions.market_reads import read_market_by_name
from zmart_pipelines.voting.verification import find_submissions


def test_the_browser_sees_what_the_command_sees(world: World) -> None:
    market, cid = voted(world)
    account = read_market_by_name(world.reader.rpc, world.program, market.hex(), "confirmed")
    (written,) = find_submissions(world.reader, account, "proposal")
    chain = {
        "rpc": world.chain.rpc_url,
        "program": str(world.program),
        "market": str(world.address(market)),
        "signature": written.signature,
    }

    def published(document: dict[str, Any], **elsewhere: str) -> Case:
        data = canonical_bytes(document)
        return Case(cid_v0(data), {cid_v0(data): data}, chain | elsewhere)

    document = json.loads(world.pins.get(cid))
    lies = []
    for change, _ in LIES:
        lie = copy.deepcopy(document)
        change(lie)
        lies.append(published(lie))
    honest, no_transaction, *found = recount_in_browser(
        [
            published(document),
            published(document, signature=str(Signature.default())),
            *lies,
        ]
    )
    assert (honest.error, honest.problems, honest.counts) == (None, [], [9, 1, 1, 0])
    assert no_transaction.problems == [f"the transaction {Signature.default()} is not on chain"]
    for (_, words), verdict in zip(LIES, found, strict=True):
        assert verdict.problems, words
