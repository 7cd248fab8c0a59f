/** Comparison of a recounted bundle with the chain, by RPC only. */
import { base58 } from '@scure/base'
import type { Recount } from './bundle.ts'
import type { Ballot } from './documents.ts'
import { accountDiscriminator, decodeAccount, decodeInstruction, fieldOffset, type Values } from './layouts.ts'
import type { Rpc, Transaction } from './rpc.ts'

const MEMO_PREFIX = 'zmart ballots '
const VOTE_TYPES = { proposal: 0, dispute: 1 } as const
/** The instruction that writes the counts of a vote, with its arguments. */
const WRITERS = {
  proposal: ['aggregate_proposal_votes', 'final_likes', 'final_dislikes'],
  dispute: ['finalize_market', 'dispute_agree', 'dispute_disagree'],
} as const
const COUNT_FIELDS = {
  proposal: ['proposal_likes', 'proposal_dislikes'],
  dispute: ['dispute_agree', 'dispute_disagree'],
} as const

/** First characters of the genesis hashes, as CAIP-2 names the clusters by them. */
const CLUSTERS = {
  mainnet: '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
  devnet: 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
  testnet: '4uhcVJyU9pJkvQyUS88uRDiswHXSCkcY',
}

/** Where the counts of a vote are to be found on chain. None of it is trusted. */
export interface OnChain {
  readonly program: string
  /** Address of the market's account. */
  readonly market: string
  /** Transaction that is said to have written the counts. */
  readonly signature: string
}

/** One comparison: what must be true, and what is wrong; empty when it is true. */
export interface Check {
  readonly title: string
  readonly problems: readonly string[]
}

/** Compare a recount with the chain; throws `RpcFailed` where the chain cannot be read. */
export async function verify(recount: Recount, place: OnChain, rpc: Rpc): Promise<Check[]> {
  const network = { title: 'Program and chain are the expected ones', problems: await networkProblems(recount, place, rpc) }
  if (network.problems.length > 0) return [network]
  return [
    network,
    {
      title: 'The transaction that wrote the counts names these ballots',
      problems: transactionProblems(recount, place, await rpc.transaction(place.signature)),
    },
    { title: "The market's account on chain has these counts", problems: await accountProblems(recount, place, rpc) },
    { title: 'Votes cast on chain are counted as they were cast', problems: await chainVoteProblems(recount, place, rpc) },
  ]
}

async function networkProblems(recount: Recount, place: OnChain, rpc: Rpc): Promise<string[]> {
  const { program, genesis, network } = recount.root
  const problems = []
  if (program !== place.program) {
    problems.push(`the bundle is for the program ${program}, not for ${place.program}`)
  }
  const found = await rpc.genesisHash()
  if (genesis !== found) {
    problems.push(`the bundle is for the chain ${genesis}, but the endpoint serves ${found}`)
  }
  const cluster = Object.entries(CLUSTERS).find(([, start]) => found.startsWith(start))?.[0]
  if (cluster !== network && (cluster !== undefined || Object.hasOwn(CLUSTERS, network))) {
    problems.push(
      `the ballots are for ${network}, but the endpoint serves ${cluster ?? 'another chain'}`,
    )
  }
  return problems
}

function transactionProblems(
  recount: Recount,
  place: OnChain,
  transaction: Transaction | undefined,
): string[] {
  const name = `the transaction ${place.signature}`
  if (transaction === undefined) return [`${name} is not on chain`]
  if (transaction.failed) return [`${name} failed`]
  const problems = []
  const cid = memoCid(transaction)
  if (cid !== recount.cid) {
    problems.push(`the memo of ${name} names ${cid === undefined ? 'no bundle' : `the bundle ${cid}`}`)
  }
  const written = writtenCounts(recount, place, transaction)
  if (written === undefined) {
    problems.push(`${name} has not written counts of this vote`)
  } else if (!isOf(recount, written)) {
    problems.push(`${name} wrote ${countsText(written)}; the ballots give ${recountText(recount)}`)
  }
  const cutoff = recount.root.cutoff.slot
  if (transaction.slot < cutoff) {
    problems.push(`${name} is of slot ${transaction.slot}, before the cut-off at ${cutoff}`)
  }
  return problems
}

function memoCid(transaction: Transaction): string | undefined {
  const texts = transaction.instructions.map(({ data }) => new TextDecoder().decode(data))
  return texts.find((text) => text.startsWith(MEMO_PREFIX))?.slice(MEMO_PREFIX.length)
}

type Pair = readonly [bigint, bigint]

function writtenCounts(
  { root }: Recount,
  place: OnChain,
  transaction: Transaction,
): Pair | undefined {
  const [instruction, first, second] = WRITERS[root.kind]
  for (const { program, accounts, data } of transaction.instructions) {
    if (program !== place.program || !accounts.includes(place.market)) continue
    const call = decodeInstruction(instruction, data)
    if (call !== undefined) return [integer(call, first), integer(call, second)]
  }
  return undefined
}

async function accountProblems(recount: Recount, place: OnChain, rpc: Rpc): Promise<string[]> {
  const account = await rpc.account(place.market)
  // The program creates one account for each market's id, so that its owner and id identify it.
  if (account === undefined || account.owner !== place.program) {
    return [`the market ${recount.root.market} is not on chain`]
  }
  const market = decodeAccount('MarketAccount', account.data)
  if (hex(market.market_id as Uint8Array) !== recount.root.market) {
    return [`the account ${place.market} is another market's`]
  }
  const [first, second] = COUNT_FIELDS[recount.root.kind]
  const held: Pair = [integer(market, first), integer(market, second)]
  if (isOf(recount, held)) return []
  return [`the market's account has ${countsText(held)}, the ballots give ${recountText(recount)}`]
}

async function chainVoteProblems(recount: Recount, place: OnChain, rpc: Rpc): Promise<string[]> {
  const records = new Map<string, Values>()
  for (const record of await voteRecords(recount, place, rpc)) records.set(String(record.user), record)
  const shares = recount.root.kind === 'dispute' ? await sharesHeld(place, rpc) : undefined
  const problems: string[] = []
  for (const ballot of recount.ballots) {
    const record = records.get(ballot.wallet)
    records.delete(ballot.wallet)
    const problem = voteProblem(recount, ballot, record)
    if (problem !== undefined) problems.push(problem)
    const weight = shares && weightProblem(recount, ballot, shares.get(ballot.wallet) ?? 0n)
    if (weight !== undefined) problems.push(weight)
  }
  for (const [wallet, record] of records) {
    // A vote in the second of the cut-off may be before or after it.
    const holder = shares === undefined || (shares.get(wallet) ?? 0n) > 0n
    if (isBeforeCutoff(recount, record) && holder) {
      problems.push(`the vote of ${wallet} on chain, cast before the cut-off, is not counted`)
    }
  }
  return problems
}

async function voteRecords({ root }: Recount, place: OnChain, rpc: Rpc): Promise<Values[]> {
  const found = await rpc.programAccounts(place.program, [
    { offset: 0, bytes: accountDiscriminator('VoteRecord') },
    { offset: fieldOffset('VoteRecord', 'market'), bytes: base58.decode(place.market) },
    { offset: fieldOffset('VoteRecord', 'vote_type'), bytes: Uint8Array.of(VOTE_TYPES[root.kind]) },
  ])
  return found.map((data) => decodeAccount('VoteRecord', data))
}

/** Shares (9 decimals) of each wallet; no trading changes them once a market is resolved. */
async function sharesHeld(place: OnChain, rpc: Rpc): Promise<Map<string, bigint>> {
  const found = await rpc.programAccounts(place.program, [
    { offset: 0, bytes: accountDiscriminator('UserPosition') },
    { offset: fieldOffset('UserPosition', 'market'), bytes: base58.decode(place.market) },
  ])
  const rows = found.map((data) => decodeAccount('UserPosition', data))
  return new Map(
    rows.map((row) => [String(row.user), integer(row, 'shares_yes') + integer(row, 'shares_no')]),
  )
}

function voteProblem(recount: Recount, ballot: Ballot, record: Values | undefined): string | undefined {
  if (ballot.source === 'chain') {
    if (record === undefined) {
      return `the bundle has a vote on chain of ${ballot.wallet}, but there is none`
    }
    const isSame = record.vote === ballot.choice && integer(record, 'voted_at') === BigInt(ballot.voted_at ?? 0)
    return isSame ? undefined : `the vote of ${ballot.wallet} on chain differs from the bundle`
  }
  if (record === undefined || !isBeforeCutoff(recount, record)) return undefined
  return (
    `the wallet ${ballot.wallet} voted on chain before the cut-off; that vote counts, not its ballot`
  )
}

function weightProblem({ root }: Recount, ballot: Ballot, held: bigint): string | undefined {
  if (held === 0n) return `the wallet ${ballot.wallet} held no shares of the market`
  if (root.rules.weight_unit === undefined) return undefined
  const units = held / BigInt(root.rules.weight_unit)
  const expected = units > 1n ? units : 1n
  if (BigInt(ballot.weight ?? 1) === expected) return undefined
  return (
    `the ballot of ${ballot.wallet} has weight ${ballot.weight ?? 1}; ${held} shares give ${expected}`
  )
}

function isBeforeCutoff({ root }: Recount, record: Values): boolean {
  return integer(record, 'voted_at') < BigInt(root.cutoff.chain_time)
}

/** An integer field; an absent option counts as 0. */
function integer(values: Values, name: string): bigint {
  const value = values[name] ?? 0n
  if (typeof value !== 'bigint') throw new TypeError(`${name} is not an integer`)
  return value
}

function isOf(recount: Recount, [votesFor, votesAgainst]: Pair): boolean {
  return votesFor === BigInt(recount.votesFor) && votesAgainst === BigInt(recount.votesAgainst)
}

function countsText([votesFor, votesAgainst]: Pair): string {
  return `${votesFor} for and ${votesAgainst} against`
}

function recountText({ votesFor, votesAgainst }: Recount): string {
  return `${votesFor} and ${votesAgainst}`
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
