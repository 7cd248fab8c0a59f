// Drives a local chain with @solana/web3.js and @coral-xyz/anchor and prints what it saw as
// one JSON object. Arguments: RPC address, IDL file, program address, folder of the chain's keys.
import fs from 'node:fs'
import anchor from '@coral-xyz/anchor'
import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js'

const [url, idlFile, programText, keyFolder] = process.argv.slice(2)
const connection = new Connection(url, 'confirmed')
const programId = new PublicKey(programText)
const payer = Keypair.generate()
const seen = {}

// Money, by the faucet, confirmed over the WebSocket.
const airdrop = await connection.requestAirdrop(payer.publicKey, 20 * LAMPORTS_PER_SOL)
const latest = await connection.getLatestBlockhash()
await connection.confirmTransaction({ signature: airdrop, ...latest })
seen.balance = await connection.getBalance(payer.publicKey)

// A legacy transfer; the receiver's account is watched meanwhile.
const receiver = Keypair.generate().publicKey
const changed = new Promise((resolve) => connection.onAccountChange(receiver, (info) => resolve(info.lamports)))
const pay = (lamports) =>
  SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: receiver, lamports })
const legacy = await sendAndConfirmTransaction(connection, new Transaction().add(pay(LAMPORTS_PER_SOL)), [payer])
seen.accountChange = await changed

// A v0 transfer, confirmed by the blockhash strategy.
const recent = await connection.getLatestBlockhash()
const message = new TransactionMessage({
  payerKey: payer.publicKey,
  recentBlockhash: recent.blockhash,
  instructions: [pay(2 * LAMPORTS_PER_SOL)],
}).compileToV0Message()
const versioned = new VersionedTransaction(message)
versioned.sign([payer])
const v0 = await connection.sendTransaction(versioned)
seen.v0Error = (await connection.confirmTransaction({ signature: v0, ...recent })).value.err
seen.received = await connection.getBalance(receiver)

// What the history says of both, and the order of signatures.
const shown = await connection.getTransaction(v0, { maxSupportedTransactionVersion: 0 })
seen.v0Version = shown.version
seen.v0Fee = shown.meta.fee
seen.legacyVersion = (await connection.getTransaction(legacy, { maxSupportedTransactionVersion: 0 })).version
seen.parsed = (await connection.getParsedTransaction(legacy)).transaction.message.accountKeys.map((key) => key.signer)
const rows = await connection.getSignaturesForAddress(payer.publicKey)
seen.newestFirst = rows.map((row) => row.signature).join() === [v0, legacy, airdrop].join()
seen.paged = (await connection.getSignaturesForAddress(payer.publicKey, { before: v0, until: airdrop })).map(
  (row) => row.signature,
).join() === legacy

// A refused preflight, as the client's own error class.
try {
  await sendAndConfirmTransaction(connection, new Transaction().add(pay(10 ** 12)), [payer])
} catch (error) {
  seen.refused = [error.name, error.transactionMessage, error.logs.at(-1)]
}

// Anchor with the project's IDL: a market, read back, with its event received and parsed.
const idl = JSON.parse(fs.readFileSync(idlFile, 'utf8'))
const provider = new anchor.AnchorProvider(connection, new anchor.Wallet(payer), { commitment: 'confirmed' })
const program = new anchor.Program(idl, provider)
const received = new Promise((resolve) => program.addEventListener('marketCreated', (event) => resolve(event)))
await new Promise((resolve) => setTimeout(resolve, 200))
const marketId = Keypair.generate().publicKey.toBytes()
const [market] = PublicKey.findProgramAddressSync([Buffer.from('market'), marketId], programId)
const [config] = PublicKey.findProgramAddressSync([Buffer.from('global-config')], programId)
const question = [...Buffer.from('QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG')]
const create = await program.methods
  .createMarket([...marketId], new anchor.BN('100000000000'), new anchor.BN('1000000000'), question)
  .accountsPartial({ creator: payer.publicKey, market, globalConfig: config })
  .rpc()
const account = await program.account.marketAccount.fetch(market)
seen.market = [account.state, account.creator.equals(payer.publicKey), account.bParameter.toString()]
seen.event = Buffer.from((await received).marketId).equals(Buffer.from(marketId))
seen.markets = (await program.account.marketAccount.all()).length
const key = (role) => Keypair.fromSecretKey(Uint8Array.from(JSON.parse(fs.readFileSync(`${keyFolder}/${role}.json`))))
const [admin, backend, fee] = ['admin', 'backend', 'fee'].map(key)
const me = payer.publicKey
const [voteRecord] = PublicKey.findProgramAddressSync(
  [Buffer.from('vote'), market.toBytes(), me.toBytes(), Buffer.from([0])],
  programId,
)
const [position] = PublicKey.findProgramAddressSync(
  [Buffer.from('position'), market.toBytes(), me.toBytes()],
  programId,
)
try {
  await program.methods.approveProposal().accountsPartial({ admin: me, market, globalConfig: config }).rpc()
} catch (error) {
  seen.anchorError = [error.constructor.name, error.error?.errorCode?.number]
}
await program.methods.submitProposalVote(true).accountsPartial({ market, voteRecord, user: me }).rpc()
await program.methods
  .aggregateProposalVotes(10, 0)
  .accountsPartial({ market, globalConfig: config, backendAuthority: backend.publicKey })
  .signers([backend])
  .rpc()
await program.methods
  .approveProposal()
  .accountsPartial({ admin: admin.publicKey, market, globalConfig: config })
  .signers([admin])
  .rpc()
await program.methods.activateMarket().accountsPartial({ authority: me, market, globalConfig: config }).rpc()
await program.methods
  .buyShares(true, new anchor.BN(LAMPORTS_PER_SOL))
  .accountsPartial({ globalConfig: config, market, position, user: me, protocolFeeWallet: fee.publicKey })
  .rpc()
const held = await program.account.userPosition.fetch(position)
seen.bought = held.sharesYes.gtn(0) && held.totalInvested.gtn(0)
const parser = new anchor.EventParser(programId, program.coder)
const history = (await connection.getSignaturesForAddress(market)).reverse()
seen.events = []
for (const { signature } of history) {
  const { meta } = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 })
  seen.events.push(...[...parser.parseLogs(meta.logMessages)].map((event) => event.name))
}
seen.createdFirst = history[0].signature === create

process.stdout.write(JSON.stringify(seen))
process.exit(0)
