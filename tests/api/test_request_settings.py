"""Settings of what every request passes."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.connections.client_address import UNKNOWN, address_key, client_key
from api.rate_limit.buckets import quotas_of
from api.server import trusted_proxies
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
    assert settings.rate_limits["anonymous"] == effective
    # Each limit is of its own.
    assert settings.rate_limits["wallet"] == (0 if cluster == "localnet" else 1000)
    assert set(settings.rate_limits) == {
        quota.name
        for quotas in quotas_of(Settings(solana_cluster="mainnet")).values()
        for quota in quotas
    }


@pytest.mark.parametrize(
    ("cluster", "stated", "effective"),
    [("localnet", None, 0), ("devnet", None, 10_000_000), ("localnet", 5, 5), ("mainnet", 0, 0)],
)
def test_minimum_balance_of_who_pins(cluster: str, stated: int | None, effective: int) -> None:
    settings = Settings(solana_cluster=cluster, pin_min_lamports=stated)
    assert settings.min_pin_lamports == effective


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
def test_texts_that_are_no_address_are_one_client(text: str) -> None:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        assert address_key(text) == UNKNOWN


def test_star_is_refused_with_the_reason() -> None:
    with pytest.raises(ValidationError, match="pretend to have any address; name the addresses"):
        Settings(trusted_proxies="*")


def test_proxies_of_ipv4_are_trusted_on_a_socket_for_both_families() -> None:
    trusted = trusted_proxies(Settings(trusted_proxies="10.0.0.0/8, 192.0.2.1, 2001:db8::/32"))
    for proxy in ("10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::9"):
        assert proxy in trusted
    for other in ("11.0.0.1", "::ffff:11.0.0.1", "192.0.2.2", "::ffff:192.0.2.2", "::1", "x"):
        assert other not in trusted
    assert "127.0.0.1" not in trusted_proxies(Settings(trusted_proxies=""))


def test_client_without_an_address() -> None:
    assert client_key({"client": None}) == UNKNOWN
