"""Settings of what every request passes."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.connections.client_address import UNKNOWN, address_key, client_key
from zmart_pipelines.settings import Settings


@pytest.mark.parametrize("value", ["*", "10.0.0.1, *", "proxy.example.com", "10.0.0.1/8"])
def test_only_addresses_and_networks_are_trusted_proxies(value: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies=value)
    assert Settings(trusted_proxies="10.0.0.0/8, ::1").trusted_proxies


@pytest.mark.parametrize(
    ("cluster", "limit", "effective"),
    [
        ("localnet", None, 0),
        ("devnet", None, 100),
        ("mainnet", None, 100),
        ("localnet", 30, 30),
        ("mainnet", 0, 0),
    ],
)
def test_limit_is_a_hundred_but_on_localnet(
    cluster: str, limit: int | None, effective: int
) -> None:
    settings = Settings(solana_cluster=cluster, rate_limit_anonymous=limit)
    assert settings.anonymous_limit == effective


def test_origins_of_localhost_have_their_twins() -> None:
    settings = Settings(cors_origins="http://localhost:3001,https://a.example,http://127.0.0.1")
    assert settings.origins == (
        *("http://localhost:3001", "https://a.example", "http://127.0.0.1"),
        *("http://127.0.0.1:3001", "http://localhost"),
    )


@given(st.integers(2, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_addresses_of_one_network_are_one_client(network: int, one: int, other: int) -> None:
    first, second = (str(IPv6Address(network << 64 | host)) for host in (one, other))
    assert address_key(first) == address_key(second)
    assert address_key(first) != address_key(str(IPv6Address((network - 1) << 64 | other)))


@given(st.ip_addresses(v=4))
def test_mapped_address_is_the_mapped_one(address: object) -> None:
    assert address_key(f"::ffff:{address}") == address_key(str(address)) == str(address)


@given(st.text(max_size=60))
def test_any_text_of_a_proxy_has_a_key(text: str) -> None:
    assert address_key(text) == address_key(text)


def test_client_without_an_address() -> None:
    assert client_key({"client": None}) == UNKNOWN
