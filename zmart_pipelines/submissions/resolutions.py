"""Resolutions that operators request: the outcome, the evidence, one intent.

The chain accepts the first resolution of an active market, from any signer. Ours is an intent like
every other: unique for its market, simulated, signed with the resolver's key, stored and then
sent. Requesting the same again returns the same intent; requesting something else is refused.
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
from zmart_pipelines.store.audit import Operator
from zmart_pipelines.submissions import intents, policies
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.market_facts import off_chain_facts
from zmart_pipelines.submissions.market_reads import read_markets
from zmart_pipelines.submissions.signers import load_resolver

FORMAT: Final = "zmart-evidence-1"
MAX_EVIDENCE: Final = 100_000


class ResolutionRefused(ValueError):
    """The market is not resolved; the message says why and names the remedy."""


class Resolution(msgspec.Struct, frozen=True):
    """What an operator requests.

    Attributes:
        market_id: The market.
        outcome: True: YES.
        evidence: What decided the question, as text.
        before_end: Resolve it before the market's end time.
    """

    market_id: bytes
    outcome: bool
    evidence: str
    before_end: bool = False


class ResolutionRequest(msgspec.Struct, frozen=True):
    """The intent of a resolution; ``repeated``: it had been requested before."""

    intent: Intent
    evidence_cid: str
    repeated: bool


def evidence_bytes(resolution: Resolution, settings: Settings) -> bytes:
    """Return the canonical evidence document.

    It contains no time, so that the same request always has the same CID.

    Raises:
        ResolutionRefused: The text is empty or too long.
    """
    text = normalized_text(resolution.evidence)
    if not 0 < len(text) <= MAX_EVIDENCE:
        raise ResolutionRefused(
            f"evidence: must have 1 to {MAX_EVIDENCE} characters; state what decided the question"
        )
    try:
        document = canonical_bytes(
            {
                "format": FORMAT,
                "program": settings.program_id,
                "network": settings.solana_cluster,
                "market": resolution.market_id.hex(),
                "outcome": _outcome_name(resolution.outcome),
                "evidence": text,
            }
        )
    except ValueError as error:
        raise ResolutionRefused(f"evidence: {error}") from None
    if len(document) > MAX_BLOCK:
        raise ResolutionRefused(
            f"evidence: the document has {len(document)} bytes, the maximum is {MAX_BLOCK}"
        )
    return document


def request_resolution(
    engine: Engine,
    reader: AccountReader,
    settings: Settings,
    resolution: Resolution,
    *,
    by: Operator,
    reason: str = "",
    pins: PinStore | None = None,
) -> ResolutionRequest:
    """Pin the evidence and write the intent, which a drive of ``resolve_market`` sends.

    The intent is written together with the audit row of the operator ``by``.

    Raises:
        ResolutionRefused: No resolver key is set, another resolution was requested before, or
            the market cannot be resolved now.
        PinError: The evidence could not be pinned.
        KeyFileError: The resolver's key is unusable.
        RpcError, RpcUnavailable, RateLimited: The chain cannot be read.
    """
    if load_resolver(settings) is None:
        raise ResolutionRefused(
            "no resolver key is configured: set RESOLVER_KEYPAIR or RESOLVER_PRIVATE_KEY"
        )
    document = evidence_bytes(resolution, settings)
    cid = cid_v0(document)
    with engine.connect() as conn:
        previous = _latest(conn, resolution.market_id)
    if previous is not None and previous.status not in ("failed", "quarantined"):
        return _existing(previous, resolution, cid)
    _check_resolvable(engine, reader, settings, resolution)
    (pins or configured_pin_store(settings)).pin(document)
    with engine.begin() as conn:
        created = intents.create(
            conn,
            market_id=resolution.market_id,
            action="resolve_market",
            round_number=0 if previous is None else previous.round + 1,
            arguments={"outcome": resolution.outcome, "evidence_cid": cid},
        )
        if created is not None:
            by.record(
                conn,
                "resolve_market",
                resolution.market_id.hex(),
                reason,
                {
                    "intent": created.id,
                    "outcome": _outcome_name(resolution.outcome),
                    "evidence_cid": cid,
                },
            )
            return ResolutionRequest(created, cid, repeated=False)
        # A concurrent request created it first.
        other = _latest(conn, resolution.market_id)
    if other is None:
        raise LookupError("the conflicting intent does not exist any more")
    return _existing(other, resolution, cid)


def _check_resolvable(
    engine: Engine, reader: AccountReader, settings: Settings, resolution: Resolution
) -> None:
    clock = reader.rpc.chain_clock("finalized")
    market_id = resolution.market_id
    read = read_markets(reader.rpc, reader.program, [market_id], clock.slot)[market_id]
    if read.fault is not None:
        raise ResolutionRefused(f"market: its account cannot be read: {read.fault}")
    ends_at = None
    if read.account is not None:
        with engine.connect() as conn:
            ends_at = off_chain_facts(conn, [read.account])[market_id].ends_at
    obstacle = policies.resolution_obstacle(
        read.account, clock.unix_timestamp, ends_at, before_end=resolution.before_end
    )
    if obstacle is not None:
        raise ResolutionRefused(f"market: {obstacle}")


def _latest(conn: Connection, market_id: bytes) -> Intent | None:
    return intents.latest(conn, market_id, "resolve_market")


def _existing(stored: Intent, resolution: Resolution, cid: str) -> ResolutionRequest:
    """Return the stored intent if it requests the same; refuse any other resolution."""
    if stored.arguments != {"outcome": resolution.outcome, "evidence_cid": cid}:
        raise ResolutionRefused(
            f"market: intent {stored.id} already resolves it as"
            f" {_outcome_name(stored.arguments['outcome'])} with the evidence"
            f" {stored.arguments['evidence_cid']} and is {stored.status}"
        )
    return ResolutionRequest(stored, cid, repeated=True)


def _outcome_name(outcome: bool) -> str:
    return "YES" if outcome else "NO"
