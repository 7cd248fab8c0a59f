import pytest
from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import VoteKind
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID

MARKET_ID = b"\x01" * 32
USER = Pubkey(b"\x02" * 32)
MARKET = Pubkey.from_string("F1doAVqwVZdnDRp4U6R3SXpVFNZ4Rk7NZmgFQB2fbbuv")


@pytest.mark.parametrize(
    ("program", "address", "bump"),
    [
        (str(DEFAULT_PROGRAM_ID), "HJUjpSEUaZCunLAhwJu1G44nUQ4R8JCLvSJNJzWWDpNP", 255),
        (
            "AFFtXXBKgTbSjFFikKG2jQ7qKvLt9mswvhTFSizJyFoH",
            "9cyohAeicGKggYQziZzEe17P7wMBTYTvn3KYtodytFQj",
            254,
        ),
        (
            "7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS",
            "73ZXQr6GjjD4qnMgsuZNcJsNmd2juUsevXgdAhiKtokz",
            255,
        ),
    ],
)
def test_config(program: str, address: str, bump: int) -> None:
    assert config_address(Pubkey.from_string(program)) == (Pubkey.from_string(address), bump)


def test_market() -> None:
    assert market_address(DEFAULT_PROGRAM_ID, MARKET_ID) == (MARKET, 255)
    with pytest.raises(ValueError, match="market_id: has 16 bytes"):
        market_address(DEFAULT_PROGRAM_ID, bytes(16))


def test_position_and_votes() -> None:
    position = Pubkey.from_string("8SkAwYo6jUwve2hw5hCh3hWCRwbcYZMvTHf1YtBCzvGq")
    proposal = Pubkey.from_string("Em59gQPx8T8fzhDLgsceNUBpeNzezjor1tB5FzVWHwfj")
    dispute = Pubkey.from_string("CX18ELjeCgQQT3hFLAH8LgGBigttDzRShe74HvuNeHSy")
    assert position_address(DEFAULT_PROGRAM_ID, MARKET, USER) == (position, 252)
    assert vote_address(DEFAULT_PROGRAM_ID, MARKET, USER, VoteKind.PROPOSAL) == (proposal, 254)
    assert vote_address(DEFAULT_PROGRAM_ID, MARKET, USER, VoteKind.DISPUTE) == (dispute, 255)
