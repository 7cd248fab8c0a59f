"""What sessions cost: reads with an access token, and sign-ins."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import httpx
from solders.keypair import Keypair
from sqlalchemy import Engine, insert

from benchmarks.ballots import CONNECTIONS, fresh_api, load, processor_seconds, require_all
from benchmarks.http_load import generator
from benchmarks.read_rows import PAGES, Effort, require_equal
from benchmarks.read_world import Markets, ReadWorld, in_turns
from benchmarks.rows import Row
from tests.api.conftest import SIGNING_KEY
from tests.api.seed import wallet
from tests.api.signing_in import session_of
from zmart_pipelines.proofs.access_tokens import SigningKey
from zmart_pipelines.proofs.sign_in_with_solana import MAX_VALIDITY, SignInMessage
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.accounts import nonces

GOAL_LIST: Final = 1.15
GOAL_SIGN_INS: Final = 1000.0
_WARM_UP: Final = 200
# Of one operation, in a round that measures it alone.
_CALLS: Final = 1_000


def signed_in_list(world: ReadWorld, markets: Markets, much: Effort) -> Row:
    """Measure pages of 20 markets with an access token, by processor time, against those without.

    Both sides are one API, whose windows alternate.
    """
    anonymous = world.api(markets)._replace(name="anonymous")
    with httpx.Client(base_url=anonymous.url, timeout=60, trust_env=False) as client:
        headers = session_of(client, wallet(1))
    signed_in = anonymous._replace(name="signed in", headers=headers)
    require_equal(signed_in, anonymous, PAGES)
    with markets.changing():
        with_token, without = in_turns(
            [(signed_in, PAGES), (anonymous, PAGES)],
            world.stores,
            rounds=much.rounds,
            seconds=much.seconds,
        )
    value = round(with_token.cpu / without.cpu, 3)
    text = "; ".join(
        [
            with_token.text(),
            without.text(),
            f"CPU: server + Postgres + Redis; medians of {len(without.windows)} windows in turns",
            f"{generator()}, load {os.getloadavg()[0]:.1f}",
        ]
    )
    return Row("signed_in_list", value, "times the cost", GOAL_LIST, text, value <= GOAL_LIST)


def sign_ins(quick: bool) -> Row:
    """Measure sign-ins that one core of the API verifies in a second, each stored as a session."""
    total = 1_000 if quick else 10_000
    wallets = [wallet(number % 60_000 + 1) for number in range(total + _WARM_UP)]
    with fresh_api() as (api, writer, postgres):
        requests = _requests(wallets, api.settings, writer)
        # Plans, caches and prepared statements are made.
        require_all(load(api, requests[:_WARM_UP]), 200)
        before = processor_seconds(api, postgres)
        started = time.perf_counter()
        answers = load(api, requests[_WARM_UP:])
        seconds = time.perf_counter() - started
        served, stored, own = (
            after - at for after, at in zip(processor_seconds(api, postgres), before, strict=True)
        )
    require_all(answers, 200)
    value = round(total / served)
    return Row(
        "sign_ins",
        value,
        "sign-ins/s of a core of the API",
        GOAL_SIGN_INS,
        f"{total} in {seconds:.1f} s over {CONNECTIONS} connections; processor time of one: API"
        f" {served / total * 1e6:.0f} µs, Postgres {stored / total * 1e6:.0f} µs, client"
        f" {own / total * 1e6:.0f} µs; of the API's, {_floors()}; load {os.getloadavg()[0]:.1f}",
        value >= GOAL_SIGN_INS,
    )


def _floors() -> str:
    """Return what no sign-in can do without: one signature verified and one token signed."""
    signer, text = wallet(1), b"x" * 400
    signature = signer.sign_message(text)
    key = SigningKey.parse(SIGNING_KEY).private
    verified = _microseconds(lambda: signature.verify(signer.pubkey(), text))
    signed = _microseconds(lambda: key.sign(text))
    return f"verifying ed25519 {verified:.0f} µs, signing EdDSA {signed:.0f} µs"


def _microseconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call: the least of five rounds."""
    rounds = []
    for _ in range(5):
        before = time.process_time()
        for _ in range(_CALLS):
            work()
        rounds.append((time.process_time() - before) / _CALLS * 1e6)
    return min(rounds)


def _requests(wallets: Sequence[Keypair], settings: Settings, writer: Engine) -> list[bytes]:
    """Store a nonce for each wallet; return complete HTTP requests that sign in with it."""
    now = datetime.now(UTC).replace(microsecond=0)
    messages = [
        SignInMessage(
            wallet=bytes(one.pubkey()),
            origin=settings.public_origin,
            chain=settings.solana_cluster,
            nonce=f"{number:032x}",
            issued=now,
            expires=now + MAX_VALIDITY,
        )
        for number, one in enumerate(wallets)
    ]
    owner = role_engine(Role.OWNER, writer.url.render_as_string(hide_password=False))
    with owner.begin() as conn:
        conn.execute(
            insert(nonces),
            [
                {
                    "nonce": message.nonce,
                    "wallet": message.wallet,
                    "origin": message.origin,
                    "issued_at": message.issued,
                    "expires_at": message.expires,
                }
                for message in messages
            ],
        )
    owner.dispose()
    return [_request(one, message) for one, message in zip(wallets, messages, strict=True)]


def _request(signer: Keypair, message: SignInMessage) -> bytes:
    text = message.compose()
    signature = signer.sign_message(text.encode())
    body = json.dumps(
        {"message": text, "signature": str(signature), "wallet": message.address}
    ).encode()
    head = (
        "POST /api/auth/verify HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
