"""Resolving a market on an operator's word: the outcome, the evidence, one intent.

The chain takes the first resolution of an active market, from anybody. Ours is an intent like
every other: unique for its market, simulated, signed with the resolver's key, stored and then
sent. Asking again for the same gives the same intent; asking for something else is refused.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, Engine

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.ipfs.canonical_json import canonical_bytes, normalized_text
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import PinStore
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import candidates, intents, policies
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.market_reads import read_markets
from zmart_pipelines.submissions.signers import load_resolver

FORMAT: Final = "zmart-evidence-1"
MAX_EVIDENCE: Final = 100_000


class ResolutionRefused(ValueError):
    """The market is not resolved; the message says why and what would help."""


class Resolution(msgspec.Struct, frozen=True):
    """What an operator says: ``outcome`` (True: YES) and why, in words. ``before_end``: although
    the question is not decided yet.
    """

    market_id: bytes
    outcome: bool
    evidence: str
    before_end: bool = False


class ResolutionRequest(msgspec.Struct, frozen=True):
    """The intent of a resolution; ``repeated`` where it had been asked for before."""

    intent: Intent
    evidence_cid: str
    repeated: bool


def evidence_bytes(resolution: Resolution, settings: Settings) -> bytes:
    """The canonical evidence document. It holds no time, so that saying the same again gives
    the same CID. ResolutionRefused where the text is empty or too long.
    """
    text = normalized_text(resolution.evidence)
    if not 0 < len(text) <= MAX_EVIDENCE:
        raise ResolutionRefused(
            f"evidence: must have 1 to {MAX_EVIDENCE} characters; say what decided the question"
        )
    try:
        document = canonical_bytes(
            {
                "format": FORMAT,
                "program": settings.program_id,
                "network": settings.solana_cluster,
                "market": resolution.market_id.hex(),
                "outcome": _word(resolution.outcome),
                "evidence": text,
            }
        )
    except ValueError as error:
        raise ResolutionRefused(f"evidence: {error}") from None
    if len(document) > MAX_BLOCK:
        raise ResolutionRefused(f"evidence: gives {len(document)} bytes, at most {MAX_BLOCK}")
    return document


def request(
    engine: Engine,
    reader: AccountReader,
    settings: Settings,
    resolution: Resolution,
    *,
    pins: PinStore | None = None,
) -> ResolutionRequest:
    """Pins the evidence and writes the intent, which a drive of ``resolve_market`` sends.

    ResolutionRefused where no resolver key is set, another resolution was asked for before,
    or the market cannot be resolved now. Raises what RpcClient raises, PinError, KeyFileError.
    """
    if load_resolver(settings) is None:
        raise ResolutionRefused(
            "no key to resolve with: set RESOLVER_KEYPAIR or RESOLVER_PRIVATE_KEY"
        )
    document = evidence_bytes(resolution, settings)
    cid = cid_v0(document)
    with engine.connect() as conn:
        earlier = _latest(conn, resolution.market_id)
    if earlier is not None and earlier.status not in ("failed", "quarantined"):
        return _same(earlier, resolution, cid)
    _check(engine, reader, settings, resolution)
    (pins or configured_pin_store(settings)).pin(document)
    with engine.begin() as conn:
        created = intents.create(
            conn,
            market_id=resolution.market_id,
            action="resolve_market",
            round_number=0 if earlier is None else earlier.round + 1,
            arguments={"outcome": resolution.outcome, "evidence_cid": cid},
        )
        if created is not None:
            return ResolutionRequest(created, cid, repeated=False)
        # Somebody else asked at the same moment.
        other = _latest(conn, resolution.market_id)
    if other is None:
        raise LookupError("an intent that stood in the way is gone")
    return _same(other, resolution, cid)


def _check(
    engine: Engine, reader: AccountReader, settings: Settings, resolution: Resolution
) -> None:
    clock = reader.rpc.chain_clock("finalized")
    market_id = resolution.market_id
    seen = read_markets(reader.rpc, reader.program, [market_id], clock.slot)[market_id]
    if seen.fault is not None:
        raise ResolutionRefused(f"market: its account cannot be read: {seen.fault}")
    ends_at = None
    if seen.account is not None:
        with engine.connect() as conn:
            ends_at = candidates.off_chain_facts(conn, [seen.account])[market_id].ends_at
    fault = policies.resolution_obstacle(
        seen.account, clock.unix_timestamp, ends_at, before_end=resolution.before_end
    )
    if fault is not None:
        raise ResolutionRefused(f"market: {fault}")


def _latest(conn: Connection, market_id: bytes) -> Intent | None:
    return intents.latest(conn, market_id, "resolve_market")


def _same(stored: Intent, resolution: Resolution, cid: str) -> ResolutionRequest:
    """The stored intent where it says the same; a resolution has no second wording."""
    if stored.arguments != {"outcome": resolution.outcome, "evidence_cid": cid}:
        raise ResolutionRefused(
            f"market: intent {stored.id} already resolves it as"
            f" {_word(stored.arguments['outcome'])} with the evidence"
            f" {stored.arguments['evidence_cid']} and is {stored.status}"
        )
    return ResolutionRequest(stored, cid, repeated=True)


def _word(outcome: bool) -> str:
    return "YES" if outcome else "NO"
