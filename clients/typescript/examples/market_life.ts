/**
 * The life of a market, from its draft to a claim, through the API alone.
 *
 * Run it while `make up` runs: `node examples/market_life.ts`, after `npm run build`.
 *
 * The local chain's faucet funds fresh keys; everything else goes through the API, and the wallets
 * only sign. The pipelines approve the proposal, decide the dispute and finalize the market.
 */
import { parseArgs } from 'node:util'
import { setTimeout } from 'node:timers/promises'
import { createSolanaRpc, lamports } from '@solana/kit'
import {
  ApiError,
  type MarketDetail,
  type PreparedTransaction,
  type VoteKind,
  ZmartClient,
  exactIntegers,
} from '@zmart/client'
import { KeypairWallet } from './keypair_wallet.ts'

const SOL = 1_000_000_000 // lamports
const VOTERS = 12
const PATIENCE = 240_000 // milliseconds for what the pipelines do
// The CID of a document about what happened; the example does not publish one.
const EVIDENCE = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG'

/** Have the local chain's faucet pay each wallet, and wait until it holds the money. */
async function fund(rpcUrl: string, wallets: KeypairWallet[], amount: bigint): Promise<void> {
  const rpc = createSolanaRpc(rpcUrl)
  for (const { address } of wallets) await rpc.requestAirdrop(address, lamports(amount)).send()
  for (const { address } of wallets) {
    while ((await rpc.getBalance(address).send()).value < amount) await setTimeout(200)
  }
}

/**
 * Prepare an act, have the wallet sign it, hand it in, and wait until it is confirmed. The program
 * counts its periods in seconds of the chain; an act that comes too early is tried again.
 */
async function act(
  client: ZmartClient,
  wallet: KeypairWallet,
  prepare: () => Promise<PreparedTransaction>,
): Promise<PreparedTransaction> {
  const prepared = await whenDue(prepare)
  const landed = await client.submit(wallet, prepared.transaction)
  console.log(`  ${prepared.effects.summary[0]} (${landed.signature})`)
  return prepared
}

async function whenDue<Result>(prepare: () => Promise<Result>): Promise<Result> {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    try {
      return await prepare()
    } catch (error) {
      const isEarly = error instanceof ApiError && error.code === 'period_not_ended'
      if (!isEarly || Date.now() > deadline) throw error
      await setTimeout(1000)
    }
  }
}

/** Wait until the pipelines have brought a market into a state. */
async function awaitState(client: ZmartClient, market: string, state: string): Promise<MarketDetail> {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const found = await client.get('/api/markets/{market}', { params: { path: { market } } })
    if (found.state === state) return found
    if (Date.now() > deadline) throw new Error(`the market is ${found.state}, not ${state}`)
    await setTimeout(500)
  }
}

/** Have each wallet sign and cast a ballot: like the proposal, or agree with the dispute. */
async function vote(
  client: ZmartClient,
  wallets: KeypairWallet[],
  kind: VoteKind,
  market: string,
): Promise<void> {
  for (const wallet of wallets) {
    const { counts } = await client.vote(wallet, kind, market, true)
    if (wallet === wallets.at(-1)) {
      console.log(`  ${counts.total} ballots: ${counts.likes} in favour, ${counts.dislikes} against`)
    }
  }
}

/** Take a market through its life; return the lamports that the winner claims. */
async function live(client: ZmartClient, rpcUrl: string): Promise<bigint> {
  const creator = await KeypairWallet.generate()
  const bull = await KeypairWallet.generate()
  const bear = await KeypairWallet.generate()
  await fund(rpcUrl, [creator, bull, bear], 20n * BigInt(SOL))

  console.log('The creator signs in')
  await client.signIn(creator)

  console.log('The creator drafts a question')
  const ends = new Date(Date.now() + 86_400_000).toISOString()
  const draft = await client.post('/api/markets', {
    body: {
      question: `Will it rain in Ghent at ${ends}?`,
      category: 'other',
      end_date: ends,
      liquidity: SOL / 10,
      b_parameter: 100 * SOL,
    },
  })
  const market_id = draft.market_id
  console.log(`  ${draft.draft.question} (${market_id})`)

  console.log('The creator creates the market')
  await client.submit(creator, draft.transaction)

  console.log('Wallets vote on the proposal, and the pipelines approve it')
  const voters = await Promise.all(Array.from({ length: VOTERS }, () => KeypairWallet.generate()))
  await vote(client, voters, 'proposal', market_id)
  await awaitState(client, market_id, 'APPROVED')

  console.log('The creator activates the market')
  await act(client, creator, () =>
    client.post('/api/transactions/prepare/activate', {
      body: { wallet: creator.address, market_id },
    }),
  )

  console.log('One wallet buys YES, another NO')
  for (const [wallet, outcome] of [[bull, true], [bear, false]] as const) {
    await act(client, wallet, () =>
      client.post('/api/transactions/prepare/buy', {
        body: { wallet: wallet.address, market_id, outcome, max_cost: SOL },
      }),
    )
  }

  console.log('The creator proposes NO as the outcome')
  await act(client, creator, () =>
    client.post('/api/transactions/prepare/resolve', {
      body: { wallet: creator.address, market_id, outcome: false, ipfs_evidence_hash: EVIDENCE },
    }),
  )

  console.log('The holder of YES disputes it')
  await act(client, bull, () =>
    client.post('/api/transactions/prepare/dispute', { body: { wallet: bull.address, market_id } }),
  )

  console.log('Both holders vote, and the pipelines finalize the market')
  await vote(client, [bull, bear], 'dispute', market_id)
  const finished = await awaitState(client, market_id, 'FINALIZED')
  console.log(`  the outcome is ${finished.final_outcome === true ? 'YES' : 'NO'}`)

  console.log('The winner claims')
  const claim = await act(client, bull, () =>
    client.post('/api/transactions/prepare/claim', { body: { wallet: bull.address, market_id } }),
  )
  await client.signOut()
  return exactIntegers(claim.effects).lamports_in
}

const { values } = parseArgs({
  options: {
    api: { type: 'string', default: 'http://127.0.0.1:4000' },
    rpc: { type: 'string', default: 'http://127.0.0.1:8899' },
  },
})
const claimed = await live(new ZmartClient({ url: values.api }), values.rpc)
console.log(`claimed ${claimed} lamports`)
