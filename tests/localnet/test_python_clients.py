"""solana-py and anchorpy work against the node unchanged."""

import asyncio
from typing import Any

from anchorpy.program.context import Context
from anchorpy.program.core import Program
from anchorpy.program.event import EventParser
from anchorpy.provider import Provider, Wallet
from solana.rpc.api import Client
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.types import MemcmpOpts, TxOpts
from solana.rpc.websocket_api import connect
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    ProgramNotification,
    SignatureNotification,
    SlotNotification,
    SubscriptionResult,
)
from solders.system_program import ID as SYSTEM

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, blockhash, funded, pay, send, signed
from zmart_pipelines.program import idl
from zmart_pipelines.program.accounts import VoteKind
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)

QUESTION = list(b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")


def test_solana_py_reads_and_sends(localnet: Localnet) -> None:
    client = Client(localnet.rpc_url, commitment=Confirmed)
    assert client.is_connected()
    wallet, to = Keypair(), Keypair().pubkey()
    airdrop = client.request_airdrop(wallet.pubkey(), 10 * SOL).value
    localnet.control.advance()
    assert client.get_balance(wallet.pubkey()).value == 10 * SOL
    latest = client.get_latest_blockhash().value
    assert latest.last_valid_block_height > client.get_block_height().value
    tx = signed([pay(wallet, to, SOL)], wallet, latest.blockhash)
    fee = client.get_fee_for_message(tx.message)
    assert fee.value == 5000
    simulated = client.simulate_transaction(tx, sig_verify=True)
    assert simulated.value.err is None
    paid = client.send_transaction(
        tx, TxOpts(preflight_commitment=Confirmed, skip_confirmation=True)
    ).value
    assert paid == tx.signatures[0]
    localnet.control.advance()
    statuses = client.get_signature_statuses([paid, airdrop]).value
    assert [s is not None and s.confirmations for s in statuses] == [1, 2]
    shown = client.get_transaction(paid, max_supported_transaction_version=0).value
    assert shown is not None
    assert shown.transaction.meta is not None
    assert shown.transaction.meta.fee == 5000
    listed = client.get_signatures_for_address(wallet.pubkey(), limit=10).value
    assert [row.signature for row in listed] == [paid, airdrop]
    older = client.get_signatures_for_address(wallet.pubkey(), before=paid).value
    assert [row.signature for row in older] == [airdrop]
    newer = client.get_signatures_for_address(wallet.pubkey(), until=airdrop).value
    assert [row.signature for row in newer] == [paid]
    config = config_address(localnet.program)[0]
    found = client.get_program_accounts(
        localnet.program, encoding="base64", filters=[206, MemcmpOpts(9, "1")]
    )
    assert found.value == []
    found = client.get_program_accounts(localnet.program, encoding="base64", filters=[206])
    assert [row.pubkey for row in found.value] == [config]
    account = client.get_account_info(config).value
    assert account is not None
    assert account.owner == localnet.program
    several = client.get_multiple_accounts([config, Pubkey.new_unique()]).value
    assert several[0] == account
    assert several[1] is None
    rent = client.get_minimum_balance_for_rent_exemption(206).value
    assert rent == account.lamports == 2_324_640
    assert client.get_block_time(1).value == 1_767_225_600
    assert client.get_version().value.solana_core
    assert client.get_epoch_info().value.epoch == 0
    assert client.get_slot(Finalized).value < client.get_slot(Processed).value
    localnet.control.finalize()
    block = client.get_block(shown.slot, max_supported_transaction_version=0).value
    assert block is not None
    assert [t.transaction.signatures[0] for t in block.transactions or []] == [paid]


def test_solana_py_confirms_by_polling(ticking_localnet: Localnet) -> None:
    client = Client(ticking_localnet.rpc_url, commitment=Confirmed)
    wallet = Keypair()
    airdrop = client.request_airdrop(wallet.pubkey(), 2 * SOL).value
    confirmed = client.confirm_transaction(airdrop, Confirmed, sleep_seconds=0.05)
    assert confirmed.value[0] is not None
    latest = client.get_latest_blockhash().value
    tx = signed([pay(wallet, Keypair().pubkey(), SOL)], wallet, latest.blockhash)
    options = TxOpts(preflight_commitment=Confirmed, skip_confirmation=True)
    paid = client.send_transaction(tx, options).value
    done = client.confirm_transaction(
        paid,
        Finalized,
        sleep_seconds=0.05,
        last_valid_block_height=latest.last_valid_block_height,
    )
    assert done.value[0] is not None
    assert done.value[0].err is None


def test_anchorpy_drives_a_market(localnet: Localnet) -> None:
    wallet = funded(localnet)
    me = wallet.pubkey()
    market_id = bytes(range(32))
    market, _ = market_address(localnet.program, market_id)
    vote, _ = vote_address(localnet.program, market, me, VoteKind.PROPOSAL)
    position, _ = position_address(localnet.program, market, me)
    config, _ = config_address(localnet.program)
    admin, backend = localnet.keys["admin"], localnet.keys["backend"]
    fee = localnet.keys["fee"].pubkey()
    trade = {"user": me, "position": position, "protocol_fee_wallet": fee}
    steps: list[tuple[str, list[Any], dict[str, Pubkey], list[Keypair]]] = [
        ("create_market", [list(market_id), 100 * SOL, SOL, QUESTION], {"creator": me}, []),
        ("submit_proposal_vote", [True], {"vote_record": vote, "user": me}, []),
        ("aggregate_proposal_votes", [10, 0], {"backend_authority": backend.pubkey()}, [backend]),
        ("approve_proposal", [], {"admin": admin.pubkey()}, [admin]),
        ("activate_market", [], {"authority": me}, []),
        ("buy_shares", [True, SOL], trade, []),
    ]

    async def drive() -> list[str]:
        client = AsyncClient(localnet.rpc_url, commitment=Confirmed)
        options = TxOpts(preflight_commitment=Confirmed, skip_confirmation=True)
        program = Program(idl.legacy(), localnet.program, Provider(client, Wallet(wallet), options))
        events: list[str] = []
        parser = EventParser(localnet.program, program.coder)
        common = {"market": market, "global_config": config, "system_program": SYSTEM}
        for name, arguments, accounts, signers in steps:
            context = Context(accounts=common | accounts, signers=signers)
            signature = await program.rpc[name](*arguments, ctx=context)
            localnet.control.advance()
            shown = await client.get_transaction(
                signature, commitment=Confirmed, max_supported_transaction_version=0
            )
            assert shown.value is not None
            assert shown.value.transaction.meta is not None
            parser.parse_logs(
                shown.value.transaction.meta.log_messages or [],
                lambda event: events.append(event.name),
            )
        account = await program.account["MarketAccount"].fetch(market, Confirmed)
        assert account.creator == me
        assert account.b_parameter == 100 * SOL
        held = await program.account["UserPosition"].fetch(position, Confirmed)
        assert held.shares_yes > 0
        assert account.shares_yes - held.shares_yes == account.shares_no
        await program.close()
        return events

    assert asyncio.run(drive()) == [
        "MarketCreated",
        "ProposalVoteSubmitted",
        "ProposalAggregated",
        "ProposalApproved",
        "MarketActivated",
        "SharesBought",
    ]


def test_subscriptions_notify_of_slots_logs_signatures_and_accounts(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair()
    tx = signed([pay(wallet, to.pubkey(), SOL)], wallet, blockhash(localnet))
    signature = tx.signatures[0]

    async def receive() -> list[object]:
        async with connect(localnet.ws_url) as socket:
            await socket.slot_subscribe()
            await socket.signature_subscribe(signature, Confirmed)
            await socket.logs_subscribe(
                RpcTransactionLogsFilterMentions(wallet.pubkey()), Processed
            )
            await socket.account_subscribe(to.pubkey(), Finalized)
            await socket.program_subscribe(SYSTEM, Confirmed, "base64")
            for _ in range(5):
                assert isinstance((await socket.recv())[0], SubscriptionResult)
            assert "result" in send(localnet, tx)
            localnet.control.finalize()
            messages: list[object] = []
            while not any(isinstance(message, AccountNotification) for message in messages):
                messages += await asyncio.wait_for(socket.recv(), 30)
            await socket.slot_unsubscribe(0)
            answer = (await socket.recv())[0]
            assert answer.result is True
            return messages

    messages = asyncio.run(receive())
    logs = [m for m in messages if isinstance(m, LogsNotification)]
    assert [m.result.value.signature for m in logs] == [signature]
    assert logs[0].result.value.logs[-1].endswith("success")
    done = [m for m in messages if isinstance(m, SignatureNotification)]
    assert [m.result.value.err for m in done] == [None]
    accounts = [m for m in messages if isinstance(m, AccountNotification)]
    assert [m.result.value.lamports for m in accounts] == [SOL]
    programs = [m for m in messages if isinstance(m, ProgramNotification)]
    assert {m.result.value.pubkey for m in programs} == {wallet.pubkey(), to.pubkey()}
    slots = [m.result.slot for m in messages if isinstance(m, SlotNotification)]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    assert len(slots) == 8
