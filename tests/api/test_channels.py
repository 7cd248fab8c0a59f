"""Names of channels: what clients write is parsed to one channel, and everything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from api.errors import ApiError
from api.realtime import channels
from api.realtime.channels import ALERTS, MARKETS, PART_TYPES, SYSTEM, Channel

keys = st.binary(min_size=32, max_size=32)
markets = st.builds(channels.of_market, keys, st.sampled_from((None, *PART_TYPES)))
every_channel = st.one_of(
    markets, st.builds(channels.of_wallet, keys), st.sampled_from((MARKETS, ALERTS, SYSTEM))
)


@given(every_channel)
def test_a_name_is_parsed_to_its_channel(channel: Channel) -> None:
    assert channels.parse(channel.name) == channel


@given(keys, st.sampled_from(("", *(f":{part}" for part in PART_TYPES))))
def test_a_market_is_named_by_id_or_address(key: bytes, part: str) -> None:
    address = Pubkey.from_bytes(key)
    assert channels.parse(f"market:{address}{part}") == channels.parse(f"market:{key.hex()}{part}")
    assert channels.parse(f"market:{key.hex().upper()}{part}").name == f"market:{key.hex()}{part}"
    assert channels.parse(str(address)) == channels.parse(key.hex()) == channels.of_market(key)


def refusal(text: str) -> ApiError | None:
    """Why a text names no channel."""
    try:
        channels.parse(text)
    except ApiError as error:
        return error
    return None


@given(st.one_of(st.text(), st.text(alphabet="markets:walletalertssystem0aA", max_size=90)))
def test_any_other_text_is_refused_with_the_field(text: str) -> None:
    error = refusal(text)
    if error is None:
        assert channels.parse(channels.parse(text).name) == channels.parse(text)
    else:
        assert (error.status, error.fields[0].field) == (400, "channel")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "market",
        "market:",
        "market::trades",
        "market:markets",
        f"market:{'ab' * 32}:",
        f"market:{'ab' * 32}:everything",
        f"market:{'ab' * 32}:trades:",
        f"market: {'ab' * 32}",
        f"wallet:{'ab' * 32}",
        f"wallet:{Pubkey.default()}:trades",
        "alerts:operators",
        "markets:",
        "system\n",
        "MARKETS",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="channel:"):
        channels.parse(text)


def test_parts_of_a_market_are_the_stored_frames_of_one_type() -> None:
    market = channels.of_market(b"\xab" * 32)
    for part, type_ in PART_TYPES.items():
        channel = channels.of_market(b"\xab" * 32, part)
        assert channel.source is not None
        assert market.source is not None
        assert (channel.source.channel, channel.source.type) == (market.source.channel, type_)
        assert channel.is_conflated is (part == "prices")
