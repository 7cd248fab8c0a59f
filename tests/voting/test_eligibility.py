"""Balance and age of a wallet, read from a real chain."""

from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.eligibility import (
    ELIGIBLE_SECONDS,
    MAX_WALLETS,
    REJECTED_SECONDS,
    WalletEligibility,
)

SOL = 10**9


class CountingRpc(RpcClient):
    """Count the calls to the chain."""

    calls = 0

    def read(self, *arguments: object, **more: object) -> object:  # type: ignore[override]
        self.calls += 1
        return super().read(*arguments, **more)  # type: ignore[arg-type]


class Hands:
    """A clock that is turned by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def key(wallet: Keypair) -> bytes:
    return bytes(wallet.pubkey())


def test_no_requirement_by_default(localnet: Localnet) -> None:
    with CountingRpc(localnet.rpc_url, 10) as rpc:
        eligibility = WalletEligibility(rpc, Settings())
        assert not eligibility.required
        assert eligibility.rejection(bytes(32)) is None
        assert rpc.calls == 0


def test_a_wallet_needs_the_balance(localnet: Localnet) -> None:
    rich, poor = Keypair(), Keypair()
    localnet.airdrop(rich.pubkey(), 2 * SOL)
    localnet.airdrop(poor.pubkey(), 2 * SOL - 1)
    clock = Hands()
    with CountingRpc(localnet.rpc_url, 10) as rpc:
        eligibility = WalletEligibility(rpc, Settings(ballot_min_lamports=2 * SOL), clock)
        assert eligibility.rejection(key(rich)) is None
        rejection = eligibility.rejection(key(poor))
        assert rejection is not None
        assert rejection.field == "wallet"
        assert rejection.reason == (
            "has 1999999999 lamports; voting requires at least 2000000000, so fund it first"
        )
        # Remembered: the one who may for long, the one who may not for a moment.
        calls = rpc.calls
        for _ in range(3):
            eligibility.rejection(key(rich))
            eligibility.rejection(key(poor))
        assert rpc.calls == calls
        localnet.airdrop(poor.pubkey(), 1)
        assert eligibility.rejection(key(poor)) is not None
        clock.now += REJECTED_SECONDS
        assert eligibility.rejection(key(poor)) is None
        assert eligibility.is_cached(key(rich))
        clock.now += ELIGIBLE_SECONDS
        assert not eligibility.is_cached(key(rich))


def test_a_wallet_needs_the_age(localnet: Localnet) -> None:
    old, young = Keypair(), Keypair()
    localnet.airdrop(old.pubkey(), SOL)
    localnet.control.advance(seconds=100)
    localnet.airdrop(young.pubkey(), SOL)
    localnet.airdrop(old.pubkey(), 1)
    clock = Hands()
    with CountingRpc(localnet.rpc_url, 10) as rpc:
        eligibility = WalletEligibility(rpc, Settings(ballot_min_age_seconds=90), clock)
        assert eligibility.rejection(key(old)) is None
        rejection = eligibility.rejection(key(young))
        assert rejection is not None
        assert rejection.reason.startswith("has no transaction that is 90 s old; vote with")
        assert eligibility.rejection(bytes(Keypair().pubkey())) is not None
        # What the ledger saw counts too, and spares the search.
        now = rpc.chain_clock("confirmed").unix_timestamp
        known = Keypair()
        calls = rpc.calls
        assert eligibility.rejection(key(known), known_since=now - 90) is None
        assert rpc.calls == calls + 1
        assert eligibility.rejection(bytes(Keypair().pubkey()), known_since=now - 89) is not None
        # By the chain's clock one grows older.
        localnet.control.advance(seconds=90)
        localnet.control.finalize()
        clock.now += REJECTED_SECONDS
        assert eligibility.rejection(key(young)) is None


def test_memory_is_bounded(localnet: Localnet) -> None:
    with RpcClient(localnet.rpc_url, 10) as rpc:
        eligibility = WalletEligibility(rpc, Settings())
        for number in range(MAX_WALLETS + 10):
            eligibility.rejection(number.to_bytes(32))
        assert not eligibility.is_cached((0).to_bytes(32))
        assert eligibility.is_cached((MAX_WALLETS + 9).to_bytes(32))
