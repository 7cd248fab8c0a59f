"""What users do in the mixed load: reads of pages, and signed ballots, comments and drafts."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import httpx
from solders.keypair import Keypair

from benchmarks.open_loop import Call, call
from demo.api import sign
from zmart_pipelines.proofs import request_text
from zmart_pipelines.proofs.request_text import Action, Operation, RequestText, Service
from zmart_pipelines.voting.ballot import BallotText

SOL: Final = 1_000_000_000
COMMENT: Final = "comment"
# Of a hundred requests; the last three are writes.
SHARES: Final[Mapping[str, int]] = {
    "list": 26,
    "list by state": 8,
    "search": 6,
    "detail": 20,
    "comments": 8,
    "price history": 6,
    "positions": 6,
    "ballot": 10,
    COMMENT: 8,
    "draft": 2,
}
_LIFE: Final = timedelta(minutes=5)
_WORDS: Final = ("bitcoin", "record", "committee", "space", "vote", "rival", "final", "new partner")


def service_of(api: str) -> Service:
    """Return what the texts to sign must name, as the API says it."""
    body = {"market_id": "00" * 32, "content": "hello"}
    answer = httpx.post(f"{api}/api/discussions/message", json=body, timeout=60, trust_env=False)
    answer.raise_for_status()
    return request_text.parse(answer.json()["message"]).service


class WalletCalls:
    """The calls of one wallet.

    Args:
        wallet: Signs.
        service: What the texts name.
        markets: Ids of proposed markets in hexadecimal; each gets at most one ballot.
        seed: Decides which calls come when.
        headers: Sent with every call.
    """

    def __init__(
        self,
        wallet: Keypair,
        service: Service,
        markets: Sequence[str],
        seed: int,
        headers: Mapping[str, str],
    ) -> None:
        self._wallet = wallet
        self._service = service
        self._dice = Random(seed)
        self._markets = markets
        self._unvoted = itertools.islice(itertools.cycle(markets), seed, seed + len(markets))
        self._headers = headers
        self._make = {
            "list": lambda: self._get("list", "/api/markets?limit=20"),
            "list by state": lambda: self._get("list by state", "/api/markets?state=PROPOSED"),
            "search": lambda: self._get("search", f"/api/markets?q={self._word()}"),
            "detail": lambda: self._get("detail", f"/api/markets/{self._market()}"),
            "comments": lambda: self._get("comments", f"/api/discussions/{self._market()}"),
            "price history": self._price_history,
            "positions": lambda: self._get("positions", f"/api/positions/{wallet.pubkey()}"),
            "ballot": self._ballot,
            COMMENT: self._comment,
            "draft": self.draft,
        }

    def take(self, count: int, shares: Mapping[str, int] = SHARES) -> list[Call]:
        """Return so many calls; signed texts among them are valid for five minutes from now."""
        kinds = self._dice.choices(list(shares), list(shares.values()), k=count)
        return [self._make[kind]() for kind in kinds]

    def _word(self) -> str:
        return self._dice.choice(_WORDS).replace(" ", "%20")

    def _market(self) -> str:
        return self._dice.choice(self._markets)

    def _get(self, kind: str, path: str) -> Call:
        return call(kind, path, headers=self._headers)

    def _price_history(self) -> Call:
        return self._get("price history", f"/api/markets/{self._market()}/price-history")

    def _ballot(self) -> Call:
        market = next(self._unvoted, None)
        if market is None:
            return self._comment()
        choice = self._dice.random() < 0.5
        text = BallotText(
            program=self._service.program,
            network=self._service.network,
            market_id=bytes.fromhex(market),
            kind="proposal",
            round=0,
            choice=choice,
            nonce=secrets.token_urlsafe(12),
            expires=datetime.now(UTC) + _LIFE,
        ).compose()
        body = {"market_id": market, "vote": choice} | sign(self._wallet, text)
        return call("ballot", "/api/votes/proposal", body, self._headers)

    def _comment(self) -> Call:
        market = self._market()
        body = {"market_id": market, "content": f"I expect {secrets.token_hex(8)}."}
        return self._write(COMMENT, "/api/discussions", "comment", market, body)

    def draft(self) -> Call:
        """Return the draft of a market."""
        body = {
            "question": f"Will {self._dice.choice(_WORDS)} lead on day {secrets.token_hex(4)}?",
            "category": "other",
            "end_date": "2031-12-31T23:59:59Z",
            "liquidity": SOL // 10,
            "b_parameter": 100 * SOL,
            "tags": ["measured"],
        }
        return self._write("draft", "/api/markets", "draft", "new market", body)

    def _write(
        self, kind: str, path: str, action: Action, subject: str, body: dict[str, Any]
    ) -> Call:
        issued = datetime.now(UTC).replace(microsecond=0)
        text = RequestText(
            service=self._service,
            operation=Operation(action, subject, request_text.body_digest(body)),
            nonce=secrets.token_hex(8),
            issued=issued,
            expires=issued + _LIFE,
        ).compose()
        return call(kind, path, body | sign(self._wallet, text), self._headers)
