"""Tallies of votes: the counts that are submitted, their rule, and the proof of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from litestar import Request, Response, get
from litestar.params import PathParameter, QueryParameter
from sqlalchemy import Connection

from api.dependencies import (
    READ_ERRORS,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    SettingsDep,
    error_responses,
)
from api.errors import not_found
from api.markets.lookup import require_market_id
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.ipfs.cid import is_cid_v0
from zmart_pipelines.program.lifecycle import meets_threshold, share_bps
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import tallies
from zmart_pipelines.submissions.statuses import IntentStatus
from zmart_pipelines.voting.bundle import ELIGIBILITY, MEMO_PREFIX

VoteKind: TypeAlias = Literal["proposal", "dispute"]


class TallyRule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that decides a vote.

    `threshold_bps` is the program's threshold in basis points: of the slot of the freeze, or of now
    for an open tally. `minimum_ballots` is the setting of now; the bundle of a frozen tally has the
    one that was in force. `weight_unit` is how many shares (9 decimals) make one vote; null: each
    wallet counts once. `is_met` is whether the counts fulfil the threshold.
    """

    threshold_bps: int | None
    minimum_ballots: int
    eligibility: str
    weight_unit: int | None
    is_met: bool | None
    text: str


class OnChainCounts(formats.ExactIntegers, frozen=True, kw_only=True):
    """The counts in the market's account, and whether they are those of the tally."""

    votes_for: formats.LargeInt
    votes_against: formats.LargeInt
    matches: bool


class TallySubmission(msgspec.Struct, frozen=True):
    """What became of a tally: the intent that submits it and the transaction that wrote it.

    `memo` is the text that the transaction carries, which names the bundle. `signature` is null
    until the transaction is finalized.
    """

    intent_id: int
    status: IntentStatus
    memo: str
    signature: str | None


class Tally(formats.ExactIntegers, frozen=True, kw_only=True):
    """The count of one kind of vote in one round.

    `votes_for` and `votes_against` are sums of weights, `ballots` is the number of wallets behind
    them. `status`: `open` counts move with the ballots; `frozen`: these counts are submitted, and
    no ballot is accepted any more; `reopened`: operators opened another round. `frozen_slot` is the
    finalized slot of the votes on chain that are counted, `frozen_chain_time` the chain's clock
    then. `bundle_cid` names the document with all counted ballots and their proofs, `bundle_url` is
    where this server has it, `verify` the command that recounts it and compares it with the chain.
    `on_chain` is null until the transaction that wrote the counts is finalized.
    """

    market_id: str
    kind: VoteKind
    round: int
    status: Literal["open", "frozen", "reopened"]
    votes_for: formats.LargeInt
    votes_against: formats.LargeInt
    total: formats.LargeInt
    share_bps: int
    ballots: int
    rule: TallyRule
    opened_at: str
    counted_at: str | None
    frozen_at: str | None
    frozen_slot: int | None
    frozen_chain_time: str | None
    bundle_cid: str | None
    bundle_url: str | None
    verify: str | None
    submission: TallySubmission | None
    on_chain: OnChainCounts | None


class MarketTallies(msgspec.Struct, frozen=True):
    """A market's tallies: proposal before dispute, the newest round first."""

    market_id: str
    tallies: list[Tally]
    count: int


class BundleList(msgspec.Struct, frozen=True):
    """A page of tallies that have a bundle, the last frozen first. `count` is the page's."""

    tallies: list[Tally]
    count: int
    limit: int
    offset: int
    next: str | None


@get("/api/markets/{market:str}/tallies", tags=["votes"], responses=error_responses(400, 404))
async def list_market_tallies(
    database: DatabaseDep, settings: SettingsDep, market: MarketPath
) -> MarketTallies:
    """List a market's tallies with their rule, bundle, transaction and counts on chain."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketTallies:
        market_id = require_market_id(conn, key)
        rows = tallies.tallies_of_market(conn, market_id)
        items = [_tally(row, settings) for row in rows]
        return MarketTallies(market_id.hex(), items, len(items))

    return await database.read(read)


@get(
    "/api/tallies",
    tags=["votes"],
    responses=READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(tallies.NEWEST_BUNDLES)),
)
async def list_bundles(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    kind: Annotated[VoteKind | None, QueryParameter(description="Only this kind of vote.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[BundleList]:
    """List the tallies that have a ballot bundle, the last frozen first."""
    page = pages.requested(tallies.NEWEST_BUNDLES, limit, offset, cursor)

    def read(conn: Connection) -> BundleList:
        rows = tallies.find_bundles(
            conn, kind=kind, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        items = [_tally(row, settings) for row in shown]
        return BundleList(items, len(items), page.limit, page.offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get("/api/tallies/{cid:str}", tags=["votes"], responses=error_responses(400, 404))
async def get_bundle_tally(
    database: DatabaseDep,
    settings: SettingsDep,
    cid: Annotated[str, PathParameter(description="CID of a ballot bundle.")],
) -> Tally:
    """Get the tally that a ballot bundle proves. `/ipfs/{cid}` returns the bundle itself."""
    rows = (
        await database.read(lambda conn: tallies.tallies_of_bundle(conn, cid))
        if is_cid_v0(cid)
        else []
    )
    if not rows:
        raise not_found("Tally")
    return _tally(rows[0], settings)


def _tally(row: tallies.Tally, settings: Settings) -> Tally:
    total = row.votes_for + row.votes_against
    kind: VoteKind = "proposal" if row.kind == "proposal" else "dispute"
    cid = row.bundle_cid
    return Tally(
        market_id=row.market_id.hex(),
        kind=kind,
        round=row.round,
        status=msgspec.convert(row.status, Literal["open", "frozen", "reopened"]),
        votes_for=row.votes_for,
        votes_against=row.votes_against,
        total=total,
        share_bps=share_bps(row.votes_for, total),
        ballots=row.ballots,
        rule=_rule(row, kind, settings),
        opened_at=formats.iso8601(row.opened_at),
        counted_at=formats.iso8601_or_none(row.counted_at),
        frozen_at=formats.iso8601_or_none(row.frozen_at),
        frozen_slot=row.frozen_slot,
        frozen_chain_time=formats.chain_time(row.frozen_chain_time),
        bundle_cid=cid,
        bundle_url=None if cid is None else f"/ipfs/{cid}",
        verify=None if cid is None else f"zmart verify-tally {cid} --gateway <this server>/ipfs/",
        submission=_submission(row),
        on_chain=_on_chain(row),
    )


def _rule(row: tallies.Tally, kind: VoteKind, settings: Settings) -> TallyRule:
    is_proposal = kind == "proposal"
    threshold = row.proposal_threshold_bps if is_proposal else row.dispute_threshold_bps
    minimum = settings.min_proposal_votes if is_proposal else settings.min_dispute_votes
    total = row.votes_for + row.votes_against
    return TallyRule(
        threshold_bps=threshold,
        minimum_ballots=minimum,
        eligibility=ELIGIBILITY[kind],
        weight_unit=row.weight_unit,
        is_met=None if threshold is None else meets_threshold(row.votes_for, total, threshold),
        text=_rule_text(is_proposal, threshold, minimum),
    )


def _rule_text(is_proposal: bool, threshold: int | None, minimum: int) -> str:
    share = "the program's threshold" if threshold is None else f"{threshold / 100:g} %"
    choice, result = (
        ("like", "the proposal is approved")
        if is_proposal
        else ("agree that the outcome is wrong", "the dispute succeeds")
    )
    wallets = "1 wallet" if minimum == 1 else f"{minimum} wallets"
    return (
        f"{result[0].upper()}{result[1:]} if at least {share} of the votes {choice} and at least"
        f" {wallets} voted."
    )


def _submission(row: tallies.Tally) -> TallySubmission | None:
    if row.intent_id is None or row.bundle_cid is None:
        return None
    return TallySubmission(
        intent_id=row.intent_id,
        status=msgspec.convert(row.intent_status, IntentStatus),
        memo=f"{MEMO_PREFIX}{row.bundle_cid}",
        signature=None if row.signature is None else formats.base58_signature(row.signature),
    )


def _on_chain(row: tallies.Tally) -> OnChainCounts | None:
    if row.chain_for is None or row.chain_against is None:
        return None
    counts = (row.chain_for, row.chain_against)
    return OnChainCounts(
        votes_for=row.chain_for,
        votes_against=row.chain_against,
        matches=counts == (row.votes_for, row.votes_against),
    )


HANDLERS = [list_market_tallies, list_bundles, get_bundle_tally]
