"""A quote and the trade that the chain's program then carries out agree in every unit."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from tests.api.chain_world import World
from tests.api.seed import SOL, address_of
from tests.api.wallets import signed_in
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program import instructions
from zmart_pipelines.program.errors import describe


def opened_market(world: World) -> str:
    """Create a market on the chain and open it; its id."""
    body = world.draft().json()
    market_id: str = body["market_id"]
    world.deliver(world.sign_and_send(body["transaction"]))
    world.open(bytes.fromhex(market_id))
    return market_id


def test_trades_cost_and_move_the_price_as_quoted(world: World) -> None:
    market_id = opened_market(world)

    def quote(query: str) -> Any:
        answer = world.client.get(f"/api/markets/{market_id}/quote?{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lamports_of(address: str) -> int:
        commitment = {"commitment": "confirmed"}
        lamports: int = world.chain.result("getBalance", address, commitment)["value"]
        return lamports

    def account() -> Any:
        return world.client.get(f"/api/markets/{market_id}").json()

    rent = 2_157_600  # of the position, which the first trade creates
    for query in (
        f"side=yes&cost={2 * SOL}",
        f"side=no&shares={3 * SOL}",
        "side=yes&shares=1",
        f"side=no&cost={5 * SOL + 17}",
        f"side=yes&shares={7 * SOL + 1234}",
    ):
        quoted = quote(query)
        assert quoted["refused"] is None
        figures, before = quoted["quote"], account()
        prepared = world.client.post(
            "/api/trades/buy",
            json={
                "market_id": market_id,
                "outcome": quoted["outcome"],
                "max_cost": figures["max_cost"],
            }
            | signed_in(world.wallet),
        )
        assert prepared.status_code == 201, prepared.text
        assert prepared.json()["quote"] == figures, "both routes compute the same"
        lamports = lamports_of(str(world.wallet.pubkey()))
        vault = lamports_of(before["on_chain_address"])
        world.deliver(world.sign_and_send(prepared.json()["transaction"]))

        trade = world.client.get(f"/api/markets/{market_id}/trades?limit=1").json()["trades"][0]
        price = figures["price_after"] if quoted["outcome"] else SOL - figures["price_after"]
        assert (trade["shares"], trade["cost"]) == (figures["shares"], figures["total"])
        assert trade["price_yes"] == price
        after = account()
        fees = figures["fees"]
        side = "shares_yes" if quoted["outcome"] else "shares_no"
        assert after[side] - before[side] == figures["shares"]
        assert after["price_yes"] == price
        assert (
            after["accumulated_resolver_fees"] - before["accumulated_resolver_fees"]
            == fees["resolver"]
        )
        assert (
            after["accumulated_lp_fees"] - before["accumulated_lp_fees"]
            == fees["liquidity_provider"]
        )
        now = lamports_of(before["on_chain_address"])
        assert now - vault == figures["total"] - fees["protocol"]
        spent = lamports - lamports_of(str(world.wallet.pubkey()))
        assert spent == figures["total"] + prepared.json()["network_fee"]["total"] + rent
        rent = 0


def test_refusals_are_those_of_the_program(world: World) -> None:
    """What a quote says is refused, the program refuses in a simulation, with the same error."""
    market_id = opened_market(world)
    too_small = world.client.get(f"/api/markets/{market_id}/quote?side=yes&cost=1071509").json()
    assert too_small["refused"]["program_error"] == "UnderflowError"
    refused = world.client.post(
        "/api/trades/buy",
        json={"market_id": market_id, "outcome": True, "max_cost": 1_071_509}
        | signed_in(world.wallet),
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "trade_too_small")
    program, keys = world.settings.program, world.chain.keys
    for budget, error in ((1_071_509, "UnderflowError"), (1_071_510, None)):
        instruction = instructions.buy_shares(
            program,
            user=world.wallet.pubkey(),
            market=Pubkey.from_string(address_of(bytes.fromhex(market_id))),
            protocol_fee_wallet=keys["fee"].pubkey(),
            outcome=True,
            target_cost=budget,
        )
        recent = world.rpc.latest_blockhash("confirmed").hash
        data = build_transaction(world.wallet.pubkey(), [instruction], recent, [world.wallet])
        failure = world.rpc.simulate(data).error
        assert (None if failure is None else describe(failure)) == error, budget
