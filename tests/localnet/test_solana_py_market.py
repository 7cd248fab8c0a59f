"""A market driven with solana-py and solders alone: create, vote, buy, read the events."""

from solana.rpc.api import Client
from solana.rpc.commitment import Confirmed
from solana.rpc.types import TxOpts
from solders.instruction import Instruction
from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, funded, signed
from zmart_pipelines.chain.program_logs import parse_logs
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketAccount, UserPosition, decode_as
from zmart_pipelines.program.addresses import market_address, position_address
from zmart_pipelines.program.events import decode_event, event_name


def test_solana_py_drives_a_market(localnet: Localnet) -> None:
    client = Client(localnet.rpc_url, commitment=Confirmed)
    wallet = funded(localnet)
    me, program = wallet.pubkey(), localnet.program
    market_id = bytes(range(32))
    market = market_address(program, market_id)[0]
    admin, backend, fee = (localnet.keys[name] for name in ("admin", "backend", "fee"))
    events: list[str] = []

    def send(instruction: Instruction, signer: Keypair = wallet) -> None:
        latest = client.get_latest_blockhash().value
        tx = signed([instruction], signer, latest.blockhash)
        options = TxOpts(preflight_commitment=Confirmed, skip_confirmation=True)
        signature = client.send_transaction(tx, options).value
        localnet.control.advance()
        shown = client.get_transaction(signature, max_supported_transaction_version=0).value
        assert shown is not None
        assert shown.transaction.meta is not None
        assert shown.transaction.meta.err is None
        logs = parse_logs(shown.transaction.meta.log_messages or [], str(program))
        events.extend(event_name(decode_event(payload)) for _, payload in logs.payloads)

    send(
        ix.create_market(
            program,
            creator=me,
            market_id=market_id,
            b_parameter=100 * SOL,
            initial_liquidity=SOL,
            question_hash=b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        )
    )
    send(ix.submit_proposal_vote(program, user=me, market=market, vote=True))
    send(
        ix.aggregate_proposal_votes(
            program, backend_authority=backend.pubkey(), market=market, likes=10, dislikes=0
        ),
        backend,
    )
    send(ix.approve_proposal(program, admin=admin.pubkey(), market=market), admin)
    send(ix.activate_market(program, authority=me, market=market))
    send(
        ix.buy_shares(
            program,
            user=me,
            market=market,
            protocol_fee_wallet=fee.pubkey(),
            outcome=True,
            target_cost=SOL,
        )
    )

    account = client.get_account_info(market).value
    held = client.get_account_info(position_address(program, market, me)[0]).value
    assert account is not None
    assert held is not None
    position = decode_as(UserPosition, held.data)
    assert position.shares_yes == 1_835_823_062
    assert decode_as(MarketAccount, account.data).total_volume == position.total_invested
    assert events == [
        "MarketCreated",
        "ProposalVoteSubmitted",
        "ProposalAggregated",
        "ProposalApproved",
        "MarketActivated",
        "SharesBought",
    ]
