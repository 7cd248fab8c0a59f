"""How Schemathesis makes values of the formats that the OpenAPI document names.

Loaded by the ``schemathesis`` command (``SCHEMATHESIS_HOOKS``), which does not know them.
"""

from __future__ import annotations

import base64
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import Phase, settings
from hypothesis import strategies as st
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.api.known_markets import KNOWN_MARKETS
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.program.instructions import activate_market

# No example has a target; Phase.target would minimise some of those that found nothing.
settings.register_profile(
    "schemathesis",
    settings.get_profile("default"),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
settings.load_profile("schemathesis")

_keys = st.binary(min_size=32, max_size=32)


def _signed_activation(seed: bytes) -> str:
    """Return a transaction as its wallet signs it, in base64."""
    wallet = Keypair.from_seed(seed)
    market = market_address(DEFAULT_PROGRAM_ID, seed)[0]
    activate = activate_market(DEFAULT_PROGRAM_ID, authority=wallet.pubkey(), market=market)
    signed = build_transaction(wallet.pubkey(), [activate], Hash.default(), [wallet])
    return base64.b64encode(signed).decode()


_markets = st.sampled_from(KNOWN_MARKETS) | _keys

schemathesis.openapi.format("solana-address", _keys.map(lambda key: str(Pubkey(key))))
schemathesis.openapi.format("zmart-market", _markets.map(bytes.hex))
schemathesis.openapi.format(
    "solana-signature",
    st.binary(min_size=64, max_size=64).map(lambda data: str(Signature.from_bytes(data))),
)
_text = st.text(string.ascii_letters + string.digits + "äé?! ", min_size=1)
schemathesis.openapi.format("zmart-text", _text)
schemathesis.openapi.format("signed-text", _text)
schemathesis.openapi.format(
    "future-date-time",
    st.integers(1, 3_000).map(lambda days: (datetime.now(UTC) + timedelta(days)).isoformat()),
)
schemathesis.openapi.format(
    "zmart-time", st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat())
)
schemathesis.openapi.format("signed-transaction", _keys.map(_signed_activation))
schemathesis.openapi.format(
    "document-base64", _text.map(lambda text: base64.b64encode(text.encode()).decode())
)
schemathesis.openapi.format(
    "sol-amount", st.integers(1, 10**15).map(lambda lamports: f"{lamports / 10**9:.9f}")
)
schemathesis.openapi.format("cid", st.binary(max_size=64).map(cid_v0))


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Leave out cursors, which only the API makes, and waits, which would take long."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            operation["parameters"] = [
                one
                for one in operation.get("parameters", [])
                if one["name"] not in ("cursor", "wait")
            ]
