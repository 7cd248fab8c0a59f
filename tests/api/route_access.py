"""Who may call each route: one row per route of the app, and a request of it.

``tests/api/test_route_access.py`` sends each as every caller and compares the status. A route
without a row fails there. A request that needs something made first makes it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from uuid import UUID

import httpx
from solders.keypair import Keypair
from sqlalchemy import Engine, insert, select

from tests.api import seed
from tests.api.signing_in import sign_in, signed_text
from tests.api.wallets import proof, signed, signed_in
from tests.relay.signed_transactions import create_market, text
from tests.relay.signed_transactions import signed as signed_transaction
from zmart_pipelines.store.tables import community

# No identity; the wallet whose resource it is; another wallet; an operator; a service's key without
# limit; keys of the owner with the scopes "read" and "trade".
CallerName = Literal["anonymous", "owner", "other", "operator", "key", "reader", "trader"]
CALLERS: Final[tuple[CallerName, ...]] = get_args(CallerName)

MARKET: Final = b"\xcd" * 32
OWNER: Final = seed.wallet(1)
OTHER: Final = seed.wallet(2)
WALLETS: Final[Mapping[CallerName, Keypair]] = {"owner": OWNER, "other": OTHER}
# The question of a draft that only its owner may see.
PRIVATE: Final = "only-the-owner-sees-this"


@dataclass(frozen=True)
class World:
    """A running app with a market, and the rows that requests need."""

    client: httpx.Client
    owner: Engine
    headers: Mapping[CallerName, Mapping[str, str]]

    def as_caller(self, caller: CallerName, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return a write's body with the proof of the caller's wallet, if it is one."""
        wallet = WALLETS.get(caller)
        return body if wallet is None else signed(self.client, wallet, path, body or None)

    def act(
        self, caller: CallerName, action: str, subject: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the body of any write with the proof of the caller's wallet, if it is one."""
        wallet = WALLETS.get(caller)
        if wallet is None:
            return body
        asked = {"action": action, "subject": subject, "body": body}
        text = self.client.post("/api/messages", json=asked).json()["message"]
        return body | proof(wallet, text)

    def market_in_vote(self, kind: str) -> bytes:
        """Insert a market in whose vote of this kind both wallets may vote."""
        market_id = secrets.token_bytes(32)
        with self.owner.begin() as conn:
            seed.market(conn, market_id, state=0 if kind == "proposal" else 4)
            for wallet in (OWNER, OTHER):
                seed.position(conn, market_id, wallet)
        return market_id

    def draft(self) -> UUID:
        """Insert a draft of the owner."""
        table = community.market_drafts
        with self.owner.begin() as conn:
            market_id = secrets.token_bytes(32)
            seed.question(
                conn,
                market_id,
                f"Is {PRIVATE} a secret?",
                creator=bytes(OWNER.pubkey()),
                matched_at=None,
            )
            found = select(table.c.draft_id).where(table.c.market_id == market_id)
            made: UUID = conn.execute(found).scalar_one()
        return made

    def comment(self) -> UUID:
        """Insert a comment of the owner."""
        values = {
            "market_id": MARKET,
            "wallet": bytes(OWNER.pubkey()),
            "content": "Words.",
        }
        with self.owner.begin() as conn:
            made: UUID = conn.execute(
                insert(community.discussions).values(values).returning(community.discussions.c.id)
            ).scalar_one()
        return made


@dataclass(frozen=True)
class Sent:
    """A request: its path, its body if it has one, and its headers beside those of the caller."""

    path: str
    body: dict[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Request = Callable[[World, CallerName], Sent]


@dataclass(frozen=True)
class Access:
    """A request of one route, and the status that each caller gets.

    Attributes:
        request: Makes it.
        statuses: Of the first five of CALLERS, in their order.
        reader: Of the key with this scope; None: that of a key without.
        trader: The same.
    """

    request: Request
    statuses: tuple[int, int, int, int, int]
    reader: int | None = None
    trader: int | None = None

    @property
    def expected(self) -> Mapping[CallerName, int]:
        """The status that each caller gets."""
        key = self.statuses[-1]
        scoped = (key if one is None else one for one in (self.reader, self.trader))
        return dict(zip(CALLERS, (*self.statuses, *scoped), strict=True))


def same(path: str, status: int = 200, body: dict[str, Any] | None = None) -> Access:
    """Return a route that makes no difference between callers."""
    return Access(lambda _world, _caller: Sent(path, body), (status,) * 5)


def same_for_wallets(path: str) -> Access:
    """Return a route that shows each wallet that signed in what is its own."""
    return Access(lambda _world, _caller: Sent(path), (401, 200, 200, 401, 401))


def private_read(request: Request, other: int) -> Access:
    """Return a route with rows of a wallet, which its sessions and its keys may read."""
    return Access(request, (401, 200, other, 403, 403), reader=200)


def for_trading(request: Request) -> Access:
    """Return a route of transactions: keys need the scope, and no chain answers here."""
    return Access(request, (503, 503, 503, 403, 403), trader=503)


def for_operators(path: str, status: int = 200) -> Access:
    """Return a route of operators, which answers them with this status."""
    return Access(lambda _world, _caller: Sent(path), (401, 403, 403, status, 403))


def write(path: str, body: dict[str, Any], *statuses: int) -> Access:
    """Return a route that needs a wallet."""
    anonymous, owner, other, operator, key = statuses
    return Access(
        lambda world, caller: Sent(path, world.as_caller(caller, path, body)),
        (anonymous, owner, other, operator, key),
    )


def _delete_comment(world: World, caller: CallerName) -> Sent:
    path = f"/api/discussions/{world.comment()}"
    return Sent(path, world.as_caller(caller, path, {}))


def _deletion_text(world: World, _caller: CallerName) -> Sent:
    return Sent(f"/api/discussions/{world.comment()}/message")


def _of_comment(
    path: str, action: str, body: dict[str, Any] | None = None, *, statuses: tuple[int, ...]
) -> Access:
    """Return a route of a comment, which its owner wrote; ``path`` has a place for its id."""
    anonymous, owner, other, operator, key = statuses

    def request(world: World, caller: CallerName) -> Sent:
        comment = str(world.comment())
        return Sent(path.format(comment), world.act(caller, action, comment, body or {}))

    return Access(request, (anonymous, owner, other, operator, key))


def _of_draft(action: str, body: dict[str, Any], *statuses: int) -> Access:
    """Return a write to a draft of the owner."""
    anonymous, owner, other, operator, key = statuses

    def request(world: World, caller: CallerName) -> Sent:
        draft = str(world.draft())
        return Sent(f"/api/drafts/{draft}", world.act(caller, action, draft, body))

    return Access(request, (anonymous, owner, other, operator, key))


def _moderated(act: str) -> Access:
    """Return a route that only operators call; they sign nothing."""
    return Access(
        lambda world, _caller: Sent(
            f"/api/discussions/{world.comment()}/{act}", {"reason": "A test."}
        ),
        (401, 403, 403, 200, 403),
    )


def _order(_world: World, caller: CallerName) -> Sent:
    body = {"kind": "redecode", "reason": "a drill"}
    return Sent("/api/orders", body, {"Idempotency-Key": f"by {caller}"})


def _vote(world: World, caller: CallerName) -> Sent:
    body: dict[str, Any] = {"market_id": MARKET.hex(), "vote": "like"}
    wallet = WALLETS.get(caller)
    if wallet is not None:
        path = f"/api/votes/proposal/{MARKET.hex()}/message"
        text = world.client.get(path, params={"vote": "like"}).json()["message"]
        body |= proof(wallet, text)
    return Sent("/api/votes/proposal", body)


def _vote_by_path(path: str, kind: str, status: int) -> Access:
    """Return a ballot in a market of its own, for which ``path`` has a place."""

    def request(world: World, caller: CallerName) -> Sent:
        market = world.market_in_vote(kind).hex()
        choice = "like" if kind == "proposal" else "agree"
        wallet = WALLETS.get(caller)
        body: dict[str, Any] = {"vote": choice}
        if wallet is not None:
            asked = f"/api/votes/{kind}/{market}/message?vote={choice}"
            body |= proof(wallet, world.client.get(asked).json()["message"])
        return Sent(path.format(market), body)

    return Access(request, (401, status, status, 401, 401))


def _sign_in(path: str) -> Access:
    """Return a route that takes a text which only its wallet can sign."""

    def request(world: World, caller: CallerName) -> Sent:
        body = signed_text(world.client, WALLETS.get(caller, OWNER))
        if caller not in WALLETS:
            body["signature"] = str(OTHER.sign_message(body["message"].encode()))
        return Sent(path, body)

    return Access(request, (401, 200, 200, 401, 401))


def _owners_session(world: World, _caller: CallerName) -> Sent:
    return Sent(f"/api/auth/sessions/{sign_in(world.client, OWNER)['session']}")


def _prepared(path: str, body: dict[str, Any]) -> Access:
    """Return a route that prepares a transaction: no chain answers here, so that is a 503."""

    def request(_world: World, caller: CallerName) -> Sent:
        wallet = WALLETS.get(caller)
        return Sent(path, body if wallet is None else body | signed_in(wallet))

    return Access(request, (401, 503, 503, 403, 403), trader=503)


_MARKET = MARKET.hex()
_OWNER = str(OWNER.pubkey())
_COMMENT = {"market_id": _MARKET, "content": "Words."}
_DRAFT = {
    "question": "Will it rain in Ghent tomorrow?",
    "description": "By the station's gauge.",
    "category": "science",
    "end_date": "2030-01-01T00:00:00Z",
    "liquidity": seed.SOL,
}
_CID = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
_NO_TOKEN = "zrt_" + "A" * 86
_VOTE = {"vote": True}
_RESOLUTION = {"outcome": True, "ipfs_evidence_hash": _CID}
_BUY = {"outcome": True, "max_cost": seed.SOL}
# Arguments of the acts whose transactions are prepared for whoever asks, by act.
_ACTS: Final[Mapping[str, dict[str, Any]]] = {
    "activate": {},
    "approve": {},
    "buy": _BUY,
    "buy-shares": {"outcome": True, "shares": seed.SOL},
    "cancel": {},
    "claim": {},
    "create": {
        "liquidity": seed.SOL,
        "b_parameter": 100 * seed.SOL,
        "ipfs_question_hash": _CID,
    },
    "dispute": {},
    "resolve": _RESOLUTION,
    "sell": {"outcome": True, "shares": seed.SOL},
    "vote-dispute": _VOTE,
    "vote-proposal": _VOTE,
    "withdraw": {},
}


# Solana Actions with their parameters; as no chain answers here, each is a 503.
_ACTIONS: Final = (
    "buy?side=yes&amount=1",
    "vote-proposal?vote=like",
    "dispute",
    "vote-dispute?vote=agree",
    "claim",
)


def _act(act: str, arguments: dict[str, Any]) -> Access:
    """Return a route that prepares an act; as no chain answers here, that is a 503."""
    path, body = f"/api/transactions/prepare/{act}", {"wallet": str(OWNER.pubkey()), **arguments}
    return for_trading(lambda _world, _caller: Sent(path, body))


def _action(path: str) -> Access:
    """Return a Solana Action; as no chain answers here, that is a 503."""
    sent = Sent(f"/api/actions/{MARKET.hex()}/{path}", {"account": str(OWNER.pubkey())})
    return for_trading(lambda _world, _caller: sent)


# Any wallet is let in, and nobody without one.
_WALLETS_ONLY = (401, 200, 200, 401, 401)
_SIGNED = text(signed_transaction(OWNER, [create_market(OWNER, MARKET)]))
_TRADE = {"market_id": _MARKET, "outcome": True}

ROUTES: Final[Mapping[str, Access]] = {
    "GET /": same("/", 302),
    "GET /app": same("/app"),
    "GET /app/assets/{name:str}": same("/app/assets/none.js", 404),
    "GET /app/{page:path}": same("/app/markets"),
    "GET /docs": same("/docs"),
    "GET /docs/asyncapi.json": same("/docs/asyncapi.json"),
    "GET /docs/assets/{file_path:path}": same("/docs/assets/none.js", 404),
    "HEAD /docs/assets/{file_path:path}": same("/docs/assets/none.js", 404),
    "GET /docs/errors": same("/docs/errors"),
    "GET /docs/oauth2-redirect.html": same("/docs/oauth2-redirect.html"),
    "GET /docs/openapi.json": same("/docs/openapi.json"),
    "GET /docs/realtime": same("/docs/realtime"),
    "GET /docs/{path:str}": same("/docs/none", 404),
    "GET /health": same("/health"),
    "GET /api/health": same("/api/health"),
    "GET /health/live": same("/health/live"),
    "GET /health/breakers": same("/health/breakers"),
    "GET /health/services": same("/health/services"),
    "GET /health/ipfs": same("/health/ipfs"),
    "GET /health/websocket": same("/health/websocket"),
    "GET /health/{service:str}": same("/health/pipelines"),
    "GET /ipfs/{cid:str}": same(f"/ipfs/{_CID}", 404),
    "GET /api/discussions/ipfs/{cid:str}": same(f"/api/discussions/ipfs/{_CID}", 404),
    "GET /api/markets/{market:str}/holders": same(f"/api/markets/{_MARKET}/holders"),
    "GET /api/markets/{market:str}/snapshots": same(f"/api/markets/{_MARKET}/snapshots"),
    "GET /api/markets/{market:str}/status": same(f"/api/markets/{_MARKET}/status"),
    # Webhooks have a secret of their own, and no caller's identity counts.
    "GET /api/webhooks/health": same("/api/webhooks/health"),
    "POST /api/webhooks/helius": same("/api/webhooks/helius", 401, {}),
    "POST /helius/webhook": same("/helius/webhook", 401, {}),
    "POST /webhooks/events": same("/webhooks/events", 401, {}),
    "GET /api/alerts": same("/api/alerts"),
    "GET /api/alerts/causes": same("/api/alerts/causes"),
    "GET /api/alerts/causes/{topic:str}/runbook": same("/api/alerts/causes/breaker/runbook"),
    "GET /api/owed": same("/api/owed"),
    "GET /api/system": same("/api/system"),
    "GET /api/system/growth": same("/api/system/growth"),
    "GET /api/markets/states/history": same("/api/markets/states/history"),
    "GET /api/markets/{market:str}/timeline": same(f"/api/markets/{_MARKET}/timeline"),
    "GET /api/limits": same("/api/limits"),
    "GET /api/network": same("/api/network"),
    "GET /api/protocol": same("/api/protocol", 404),
    "GET /api/coverage": same("/api/coverage"),
    "GET /api/coverage/gaps": same("/api/coverage/gaps"),
    "GET /api/events": same("/api/events"),
    "GET /api/stream": same("/api/stream?channel=markets"),
    "GET /api/leaderboards": same("/api/leaderboards"),
    "GET /api/reconciliation": same("/api/reconciliation"),
    "GET /api/reconciliation/differences": same("/api/reconciliation/differences"),
    "GET /api/submissions": same("/api/submissions"),
    "GET /api/submissions/switches": same("/api/submissions/switches"),
    "GET /api/submissions/{intent:int}": same("/api/submissions/1", 404),
    "GET /api/tallies": same("/api/tallies"),
    "GET /api/tallies/{cid:str}": same(f"/api/tallies/{_CID}", 404),
    "GET /api/transactions/{signature:str}": same(f"/api/transactions/{'1' * 64}", 404),
    "GET /api/transactions": private_read(lambda _world, _caller: Sent("/api/transactions"), 200),
    # The transaction's own signature is the permission; no chain answers here.
    "POST /api/transactions": for_trading(
        lambda _world, _caller: Sent("/api/transactions", {"transaction": _SIGNED})
    ),
    "GET /api/markets": same("/api/markets"),
    "GET /api/markets/activity": same("/api/markets/activity"),
    "GET /api/markets/categories": same("/api/markets/categories"),
    "GET /api/markets/price-lines": same(f"/api/markets/price-lines?market={_MARKET}"),
    "GET /api/markets/states": same("/api/markets/states"),
    "GET /api/markets/trending": same("/api/markets/trending"),
    "GET /api/markets/{market:str}": same(f"/api/markets/{_MARKET}"),
    **{
        f"GET /api/markets/{{market:str}}/{name}": same(f"/api/markets/{_MARKET}/{name}")
        for name in (
            *("candles", "depth", "discussions", "events", "price-history", "prices"),
            *("related", "stats", "tallies", "trades", "votes"),
        )
    },
    "GET /api/markets/{market:str}/quote": same(
        f"/api/markets/{_MARKET}/quote?side=yes&cost=1000000000"
    ),
    "GET /api/positions/{wallet:str}": same(f"/api/positions/{_OWNER}"),
    "GET /api/users/{wallet:str}": same(f"/api/users/{_OWNER}"),
    **{
        f"GET /api/users/{{wallet:str}}/{name}": same(f"/api/users/{_OWNER}/{name}")
        for name in (
            *("claims", "discussions", "events", "markets", "pnl", "portfolio", "positions"),
            *("stats", "trades", "votes"),
        )
    },
    "GET /api/users/{wallet:str}/positions/{market:str}": same(
        f"/api/users/{_OWNER}/positions/{_MARKET}"
    ),
    "GET /api/votes/{market:str}": same(f"/api/votes/{_MARKET}"),
    "GET /api/votes/{kind:str}/{market:str}": same(f"/api/votes/proposal/{_MARKET}"),
    "GET /api/votes/{kind:str}/{market:str}/message": same(
        f"/api/votes/proposal/{_MARKET}/message?vote=like"
    ),
    "GET /api/discussions/{market:str}": same(f"/api/discussions/{_MARKET}"),
    # Texts to sign permit nothing by themselves.
    "POST /api/discussions/message": same("/api/discussions/message", 200, _COMMENT),
    "GET /api/discussions/{discussion:str}/message": Access(_deletion_text, (200,) * 5),
    "POST /api/markets/message": same("/api/markets/message", 200, _DRAFT),
    # Orders and the audit log are the operators' alone.
    "POST /api/orders": Access(_order, (401, 403, 403, 201, 403)),
    "GET /api/alerts/{alert:int}": for_operators("/api/alerts/4711", 404),
    "POST /api/alerts/{alert:int}/acknowledgement": Access(
        lambda _world, _caller: Sent("/api/alerts/4711/acknowledgement", {}),
        (401, 403, 403, 409, 403),
    ),
    "GET /api/alerts/silences": for_operators("/api/alerts/silences"),
    "POST /api/alerts/silences": Access(
        lambda _world, _caller: Sent(
            "/api/alerts/silences", {"topic": "run", "seconds": 60, "reason": "a drill"}
        ),
        (401, 403, 403, 201, 403),
    ),
    "DELETE /api/alerts/silences/{silence:int}": Access(
        lambda _world, _caller: Sent("/api/alerts/silences/4711", {"reason": "a drill"}),
        (401, 403, 403, 404, 403),
    ),
    "GET /api/deliveries/failed": for_operators("/api/deliveries/failed"),
    # Only the admin's wallet can sign what an operator prepares; as no chain answers here, a 503.
    "POST /api/admin/transactions": Access(
        lambda _world, _caller: Sent(
            "/api/admin/transactions",
            {
                "act": "pause",
                "arguments": {"wallet": str(OWNER.pubkey()), "paused": True},
                "reason": "a drill",
            },
        ),
        (401, 403, 403, 503, 403),
    ),
    "GET /api/orders": for_operators("/api/orders"),
    "GET /api/orders/{order:int}": for_operators("/api/orders/4711", 404),
    "GET /api/audit": for_operators("/api/audit"),
    "POST /api/auth/nonce": same("/api/auth/nonce", 200, {"wallet": _OWNER}),
    "POST /api/auth/verify": _sign_in("/api/auth/verify"),
    "POST /api/auth/login": _sign_in("/api/auth/login"),
    # The token is the proof, whoever sends it; this one is no session's.
    "POST /api/auth/refresh": same("/api/auth/refresh", 401, {"refresh_token": _NO_TOKEN}),
    "POST /api/auth/logout": same("/api/auth/logout", 200, {"refresh_token": _NO_TOKEN}),
    "GET /api/auth/sessions": same_for_wallets("/api/auth/sessions"),
    "DELETE /api/auth/sessions/{session:str}": Access(_owners_session, (401, 200, 404, 401, 401)),
    "GET /api/users/me": same_for_wallets("/api/users/me"),
    "POST /api/realtime/tickets": Access(
        lambda _world, _caller: Sent("/api/realtime/tickets"), (401, 201, 201, 201, 403), reader=201
    ),
    "GET /.well-known/jwks.json": same("/.well-known/jwks.json"),
    "POST /api/votes/{kind:str}": Access(_vote, (401, 201, 201, 401, 401)),
    "POST /api/votes/{kind:str}/{market:str}": _vote_by_path(
        "/api/votes/proposal/{}", "proposal", 200
    ),
    "POST /api/markets/{market:str}/vote": _vote_by_path("/api/markets/{}/vote", "proposal", 201),
    "POST /api/markets/{market:str}/dispute/vote": _vote_by_path(
        "/api/markets/{}/dispute/vote", "dispute", 201
    ),
    "POST /api/discussions": write("/api/discussions", _COMMENT, 401, 201, 201, 401, 401),
    "DELETE /api/discussions/{discussion:str}": Access(_delete_comment, (401, 200, 403, 401, 401)),
    "GET /api/discussions/{discussion:str}/replies": Access(
        lambda world, _caller: Sent(f"/api/discussions/{world.comment()}/replies"), (200,) * 5
    ),
    "PATCH /api/discussions/{discussion:str}": _of_comment(
        "/api/discussions/{}",
        "edit-comment",
        {"content": "Better words."},
        statuses=(401, 200, 403, 401, 401),
    ),
    "PUT /api/discussions/{discussion:str}/vote": _of_comment(
        "/api/discussions/{}/vote", "vote-comment", statuses=_WALLETS_ONLY
    ),
    "DELETE /api/discussions/{discussion:str}/vote": _of_comment(
        "/api/discussions/{}/vote", "unvote-comment", statuses=_WALLETS_ONLY
    ),
    "POST /api/discussions/{discussion:str}/report": _of_comment(
        "/api/discussions/{}/report", "report-comment", statuses=_WALLETS_ONLY
    ),
    "POST /api/markets/{market:str}/discussions/{discussion:str}/vote": _of_comment(
        f"/api/markets/{_MARKET}/discussions/{{}}/vote", "vote-comment", statuses=_WALLETS_ONLY
    ),
    "POST /api/markets/{market:str}/discussions/{discussion:str}/flag": _of_comment(
        f"/api/markets/{_MARKET}/discussions/{{}}/flag", "report-comment", statuses=_WALLETS_ONLY
    ),
    "POST /api/markets/{market:str}/discussions": Access(
        lambda world, caller: Sent(
            f"/api/markets/{_MARKET}/discussions",
            world.act(caller, "comment", _MARKET, {"content": "Words."}),
        ),
        (401, 201, 201, 401, 401),
    ),
    "GET /api/discussions/reports": Access(
        lambda _world, _caller: Sent("/api/discussions/reports"), (401, 403, 403, 200, 403)
    ),
    "POST /api/discussions/{discussion:str}/hide": _moderated("hide"),
    "POST /api/discussions/{discussion:str}/unhide": _moderated("unhide"),
    "GET /api/drafts": private_read(lambda _world, _caller: Sent("/api/drafts"), 200),
    "GET /api/drafts/{draft:str}": private_read(
        lambda world, _caller: Sent(f"/api/drafts/{world.draft()}"), 404
    ),
    # No chain answers here, which is asked before the draft is.
    "PUT /api/drafts/{draft:str}": _of_draft("replace-draft", _DRAFT, 401, 503, 503, 401, 401),
    "DELETE /api/drafts/{draft:str}": _of_draft("delete-draft", {}, 401, 200, 404, 401, 401),
    "POST /api/documents": Access(
        lambda world, caller: Sent(
            "/api/documents",
            world.act(caller, "document", "new document", {"data": "aGVsbG8="}),
        ),
        (401, 201, 201, 401, 401),
    ),
    "POST /api/messages": same(
        "/api/messages", 200, {"action": "profile", "subject": "profile", "body": {}}
    ),
    "PATCH /api/users/me": Access(
        lambda world, caller: Sent(
            "/api/users/me", world.act(caller, "profile", "profile", {"name": "Ann"})
        ),
        _WALLETS_ONLY,
    ),
    "POST /api/markets": write("/api/markets", _DRAFT, 401, 503, 503, 401, 401),
    "POST /api/trades/buy": _prepared("/api/trades/buy", {"market_id": _MARKET, **_BUY}),
    "POST /api/trades/sell": _prepared("/api/trades/sell", {"market_id": _MARKET, **_ACTS["sell"]}),
    "POST /api/markets/{market:str}/resolve": _prepared(
        f"/api/markets/{_MARKET}/resolve", _RESOLUTION
    ),
    # Nothing is disclosed or stored, and a transaction needs the wallet's signature.
    **{
        f"POST /api/transactions/prepare/{act}": _act(act, {"market_id": _MARKET, **arguments})
        for act, arguments in _ACTS.items()
    },
    "GET /actions.json": same("/actions.json"),
    "GET /api/actions/{market:str}": same(f"/api/actions/{_MARKET}"),
    "GET /api/actions/{market:str}/icon.svg": same(f"/api/actions/{_MARKET}/icon.svg"),
    **{
        f"POST /api/actions/{{market:str}}/{path.partition('?')[0]}": _action(path)
        for path in _ACTIONS
    },
    "POST /api/transactions/prepare/pause": _act("pause", {"paused": True}),
    "POST /api/transactions/prepare/update-config": _act("update-config", {"dispute_period": 1}),
}
