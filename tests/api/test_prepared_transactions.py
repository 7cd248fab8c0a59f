"""With a real chain: every act is prepared, signed, sent, and does what its answer said."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.api.chain_world import MARKET, World
from tests.api.documented_examples import examples_of, shape
from tests.api.seed import SOL, address_of
from zmart_pipelines.program import instructions
from zmart_pipelines.program.ids import COMPUTE_BUDGET
from zmart_pipelines.wallet_transactions.acts import ACTS

RENT_POSITION, RENT_VOTE, RENT_MARKET = 2_157_600, 1_468_560, 4_287_360
EVIDENCE = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"


class Stage:
    """Wallets that act through the API alone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rival = Keypair()
        world.chain.airdrop(self.rival.pubkey(), 100 * SOL)
        self.market_id = ""

    @property
    def admin(self) -> Keypair:
        return self.world.chain.keys["admin"]

    def ask(self, act: str, wallet: Keypair, **arguments: Any) -> Any:
        """The answer to a request to prepare an act in the market, or on the protocol."""
        about = {} if ACTS[act].SUBJECT == "protocol" else {"market_id": self.market_id}
        body = {"wallet": str(wallet.pubkey()), **about, **arguments}
        return self.world.client.post(f"/api/transactions/prepare/{act}", json=body)

    def refused(self, act: str, wallet: Keypair, **arguments: Any) -> Any:
        answer = self.ask(act, wallet, **arguments)
        assert answer.status_code == 409, answer.text
        return answer.json()

    def do(self, act: str, wallet: Keypair, **arguments: Any) -> Any:
        """Prepare an act, compare what it did with what was said; the answer."""
        answer = self.ask(act, wallet, **arguments)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        effects = said["effects"]
        touched = {move[end] for move in effects["transfers"] for end in ("sender", "receiver")}
        touched.add(said["fee_payer"])
        before = {name: self.lamports(name) for name in touched}
        assert before[said["fee_payer"]] == effects["balance_before"]
        missing = {account["address"] for account in effects["accounts_created"]}
        assert not any(self.lamports(address) for address in missing)
        self.send(said["transaction"], wallet)
        for name in touched:
            moved = sum(
                move["lamports"] * ((move["receiver"] == name) - (move["sender"] == name))
                for move in effects["transfers"]
            )
            fee = said["network_fee"]["total"] if name == said["fee_payer"] else 0
            assert self.lamports(name) - before[name] == moved - fee, (act, name)
        assert self.lamports(said["fee_payer"]) == effects["balance_after"]
        for account in effects["accounts_created"]:
            assert self.lamports(account["address"]) == account["rent"] or effects["trade"]
        self.check_market(effects)
        return said

    def send(self, unsigned: str, wallet: Keypair) -> None:
        message = VersionedTransaction.from_bytes(base64.b64decode(unsigned)).message
        signature = self.world.rpc.send(bytes(VersionedTransaction(message, [wallet])))
        self.world.chain.control.advance(slots=2, seconds=1)
        self.world.deliver(signature)

    def check_market(self, effects: Any) -> None:
        """The market in the tables is as it was said to be."""
        if effects["state_after"] is None:
            return
        row = self.world.client.get(f"/api/markets/{self.market_id}").json()
        assert row["state"] == effects["state_after"]
        assert row["price_yes"] == effects["price_yes_after"]

    def lamports(self, address: str) -> int:
        found: int = self.world.chain.result("getBalance", address, {"commitment": "confirmed"})[
            "value"
        ]
        return found

    def by_backend(self, build: Any, **arguments: Any) -> None:
        """The pipelines' part."""
        backend = self.world.chain.keys["backend"]
        instruction = build(
            self.world.settings.program,
            backend_authority=backend.pubkey(),
            market=Pubkey.from_string(address_of(bytes.fromhex(self.market_id))),
            **arguments,
        )
        self.world.deliver(self.world.send(instruction, backend))
        self.world.chain.control.advance(slots=2, seconds=1)

    def draft(self, **over: Any) -> dict[str, Any]:
        """Store a draft; the arguments of the act that creates its market."""
        draft = self.world.draft(**over).json()["draft"]
        self.market_id = draft["id"]
        names = ("b_parameter", "ipfs_question_hash")
        return {name: draft[name] for name in names} | {"liquidity": draft["initial_liquidity"]}

    def open(self, **over: Any) -> Stage:
        """A market in state ACTIVE."""
        self.do("create", self.world.wallet, **self.draft(**over))
        self.to_active()
        return self

    def to_active(self) -> None:
        """Vote, approve and activate a proposed market."""
        self.by_backend(instructions.aggregate_proposal_votes, likes=9, dislikes=1)
        self.do("approve", self.admin)
        self.do("activate", self.world.wallet)


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_market_goes_from_draft_to_withdrawal_as_each_answer_says(stage: Stage) -> None:
    creator, rival = stage.world.wallet, stage.rival
    created = stage.do("create", creator, **stage.draft())
    assert created["effects"]["lamports_out"] == RENT_MARKET + created["network_fee"]["total"]
    assert created["effects"]["price_yes_after"] == SOL // 2
    vote = stage.do("vote-proposal", rival, vote=True)
    (record,) = vote["effects"]["accounts_created"]
    assert (record["kind"], record["rent"]) == ("vote_record", RENT_VOTE)
    stage.to_active()

    first = stage.do("buy", rival, outcome=True, max_cost=SOL, min_shares=SOL)
    effects = first["effects"]
    assert effects["trade"]["shares"] == effects["shares_yes_change"] == 1_835_823_062
    assert effects["trade"]["total"] == 999_928_380
    assert effects["lamports_out"] == 999_928_380 + RENT_POSITION + first["network_fee"]["total"]
    assert "1.835823062 YES shares for 0.99992838 SOL" in first["message"]
    exact = stage.do("buy-shares", creator, outcome=False, shares=SOL, max_cost=SOL)
    assert exact["effects"]["shares_no_change"] >= SOL
    again = stage.do("buy", rival, outcome=True, max_cost=SOL // 2)
    assert again["effects"]["accounts_created"] == []

    stage.do("resolve", rival, outcome=True, ipfs_evidence_hash=EVIDENCE)
    stage.do("dispute", creator)
    stage.do("vote-dispute", creator, vote=True)
    stage.by_backend(instructions.finalize_market, dispute_agree=1, dispute_disagree=9)
    claim = stage.do("claim", rival)
    purposes = [move["purpose"] for move in claim["effects"]["transfers"]]
    assert purposes == ["winnings", "resolver_fee"]
    assert claim["effects"]["lamports_in"] == sum(
        move["lamports"] for move in claim["effects"]["transfers"]
    ), "the winner is the resolver"
    assert stage.refused("claim", rival)["code"] == "already_claimed"
    stage.do("withdraw", creator)
    assert stage.refused("withdraw", creator)["program_error"] == "InsufficientLiquidity"


def test_admin_pauses_configures_and_cancels(stage: Stage) -> None:
    stage.do("create", stage.world.wallet, **stage.draft())
    paused = stage.do("pause", stage.admin, paused=True)
    assert (paused["market_id"], paused["on_chain_address"]) == (None, None)
    refused = stage.refused("pause", stage.admin, paused=True)
    assert refused["code"] == "no_change"
    new = stage.draft()
    refused = stage.refused("create", stage.world.wallet, **new)
    assert (refused["code"], refused["program_error_number"]) == ("protocol_paused", 6010)
    stage.do("pause", stage.admin, paused=False)
    stage.do("create", stage.world.wallet, **new)
    changed = stage.do("update-config", stage.admin, protocol_fee_bps=400, dispute_period=99)
    assert "Changes protocol_fee_bps from 300 to 400." in changed["effects"]["summary"]
    assert any("most buys will fail" in line for line in changed["effects"]["summary"])
    assert stage.refused("update-config", stage.admin)["code"] == "no_change"
    stage.do("cancel", stage.admin)
    assert stage.refused("cancel", stage.admin)["program_error"] == "MarketAlreadyCancelled"


def test_refusals_name_the_error_its_number_and_a_remedy(stage: Stage) -> None:
    creator, rival = stage.world.wallet, stage.rival
    draft = stage.draft()
    stage.do("create", creator, **draft)
    assert stage.refused("create", creator, **draft)["code"] == "market_exists"
    early = stage.refused("buy", rival, outcome=True, max_cost=SOL)
    assert (early["code"], early["program_error"], early["program_error_number"]) == (
        "invalid_market_state",
        "InvalidMarketState",
        6007,
    )
    assert early["remedy"] == "Wait until the market is ACTIVE."
    for act in ("approve", "cancel", "activate"):
        assert stage.refused(act, rival)["code"] == "not_permitted"
    stage.do("vote-proposal", rival, vote=False)
    twice = stage.refused("vote-proposal", rival, vote=True)
    assert (twice["code"], twice["program_error_number"]) == ("already_voted", 0)
    stage.to_active()

    few = stage.refused("buy", rival, outcome=True, max_cost=SOL, min_shares=5 * SOL)
    assert (few["code"], few["details"][0]["field"]) == ("slippage_exceeded", "max_cost")
    dear = stage.refused("buy-shares", rival, outcome=True, shares=5 * SOL, max_cost=SOL)
    assert (dear["code"], dear["details"][0]["field"]) == ("slippage_exceeded", "max_cost")
    small = stage.refused("buy", rival, outcome=True, max_cost=1_071_509)
    assert (small["code"], small["program_error"]) == ("trade_too_small", "UnderflowError")
    assert "1071510 lamports" in small["remedy"]
    poor = stage.refused("buy", rival, outcome=True, max_cost=200 * SOL)
    assert (poor["code"], poor["program_error"]) == (
        "insufficient_funds",
        "ResultWithNegativeLamports",
    )
    assert stage.refused("buy", Keypair(), outcome=True, max_cost=SOL)["program_error"] == (
        "AccountNotFound"
    )
    stage.do("buy", rival, outcome=True, max_cost=SOL)
    sale = stage.refused("sell", rival, outcome=True, shares=SOL // 10)
    assert sale["code"] == "sale_unsupported"
    assert "Every sale fails" in sale["message"]
    more = stage.refused("sell", rival, outcome=True, shares=50 * SOL)
    assert more["program_error"] == "InsufficientShares"
    none = stage.refused("sell", creator, outcome=True, shares=SOL)
    assert (none["code"], none["program_error"]) == ("insufficient_shares", "AccountNotInitialized")
    assert stage.refused("claim", rival)["code"] == "invalid_market_state"
    assert stage.refused("withdraw", rival)["code"] == "not_permitted"
    stage.do("resolve", rival, outcome=True, ipfs_evidence_hash=EVIDENCE)
    period = 259_200
    stage.world.chain.control.advance(slots=2, seconds=period)
    assert stage.refused("dispute", creator)["code"] == "period_ended"


def test_wallets_keep_their_rent_or_nothing(stage: Stage) -> None:
    """The node, not only our arithmetic, refuses to leave a wallet below its minimum."""
    stage.open()
    poor = Keypair()
    buy = {"outcome": True, "max_cost": SOL}
    need = stage.ask("buy", stage.rival, **buy).json()["effects"]["lamports_out"]
    stage.world.chain.airdrop(poor.pubkey(), need + 800_000)
    refused = stage.refused("buy", poor, **buy)
    assert (refused["code"], refused["program_error"]) == (
        "insufficient_funds",
        "InsufficientFundsForRent",
    )
    stage.world.chain.airdrop(poor.pubkey(), 890_880)
    stage.do("buy", poor, **buy)


def test_receiver_that_would_hold_too_little_is_named(stage: Stage) -> None:
    """The first claim pays a resolver, whose wallet was emptied, too little to exist."""
    stage.open(liquidity=SOL // 100)
    resolver = Keypair()
    stage.world.chain.airdrop(resolver.pubkey(), SOL)
    stage.do("buy", stage.rival, outcome=True, max_cost=40_000_000)
    stage.do("resolve", resolver, outcome=True, ipfs_evidence_hash=EVIDENCE)
    rest = stage.lamports(str(resolver.pubkey())) - 5_000
    away = TransferParams(
        from_pubkey=resolver.pubkey(), to_pubkey=stage.rival.pubkey(), lamports=rest
    )
    stage.world.send(transfer(away), resolver)
    stage.world.chain.control.advance(slots=2, seconds=259_200)
    stage.by_backend(instructions.finalize_market)
    refused = stage.refused("claim", stage.rival)
    assert (refused["code"], refused["program_error"]) == (
        "simulation_failed",
        "InsufficientFundsForRent",
    )
    assert str(resolver.pubkey()) in refused["remedy"]
    stage.world.chain.airdrop(resolver.pubkey(), 890_880)
    stage.do("claim", stage.rival)


def test_transaction_has_a_limit_a_price_and_one_instruction_of_the_program(
    stage: Stage,
) -> None:
    stage.open()
    said = stage.ask("buy", stage.rival, outcome=True, max_cost=SOL).json()
    fee = said["network_fee"]
    assert fee["total"] == fee["signature"] + fee["priority"]
    assert fee["compute_units"] < fee["compute_unit_limit"] <= 1_400_000
    assert fee["priority"] == -(-fee["compute_unit_limit"] * fee["compute_unit_price"] // 10**6)
    assert said["blockhash_commitment"] == "confirmed"
    message = VersionedTransaction.from_bytes(base64.b64decode(said["transaction"])).message
    programs = [message.account_keys[item.program_id_index] for item in message.instructions]
    assert programs == [COMPUTE_BUDGET, COMPUTE_BUDGET, stage.world.settings.program]
    assert message.header.num_required_signatures == 1
    assert str(message.account_keys[0]) == said["fee_payer"] == str(stage.rival.pubkey())
    height = stage.world.chain.result("getBlockHeight", {"commitment": "confirmed"})
    assert height < said["last_valid_block_height"] <= height + 150


def test_examples_of_the_documentation_are_as_the_answers(stage: Stage) -> None:
    """The lists of an example may be shorter."""
    examples = examples_of("transactions.md")
    request = examples["prepare_request"] | {"wallet": None, "market_id": None}
    stage.do("create", stage.world.wallet, **stage.draft())
    arguments = {name: value for name, value in request.items() if value is not None}
    refused = stage.refused("buy", stage.rival, **arguments)
    assert shape(refused) == shape(examples["prepare_refused"])
    assert refused["message"] == examples["prepare_refused"]["message"]
    stage.to_active()
    answer = stage.ask("buy", stage.rival, **arguments).json()
    effects, example = answer["effects"], examples["prepare_answer"]
    for name in ("summary", "transfers"):
        effects[name] = effects[name][:1]
    assert shape(answer) == shape(example)
    for name in ("shares_yes_change", "trade", "summary"):
        assert effects[name] == example["effects"][name], name


def test_wrong_bodies_name_their_fields(stage: Stage) -> None:
    def fields(act: str, body: dict[str, Any]) -> set[str]:
        answer = stage.world.client.post(f"/api/transactions/prepare/{act}", json=body)
        assert answer.status_code == 400, answer.text
        return {item["field"] for item in answer.json()["details"]}

    wallet = str(stage.rival.pubkey())
    assert fields("buy", {}) == {"wallet", "market_id", "outcome", "max_cost"}
    wrong = {"wallet": "x", "market_id": "y", "outcome": True, "max_cost": 0, "more": 1}
    assert fields("buy", wrong) == {"wallet", "market_id", "max_cost", "more"}
    sides: tuple[Any, ...] = (0, 1, "true", "no", None)
    for side in sides:
        body = {"wallet": wallet, "market_id": "ab" * 32, "outcome": side, "max_cost": SOL}
        assert fields("buy", body) == {"outcome"}, side
    resolve = {"wallet": wallet, "market_id": "ab" * 32, "outcome": True}
    assert fields("resolve", resolve | {"ipfs_evidence_hash": "q" * 46}) == {"ipfs_evidence_hash"}
    create = {"wallet": wallet, "liquidity": 1, "b_parameter": MARKET["b_parameter"]}
    create |= {"ipfs_question_hash": EVIDENCE, "market_id": address_of(b"\xab" * 32)}
    assert fields("create", create) == {"market_id"}
    answer = stage.ask("buy", stage.rival, outcome=True, max_cost=SOL, market_id="ab" * 32)
    assert (answer.status_code, answer.json()["code"]) == (404, "market_not_found")
