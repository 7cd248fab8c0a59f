/** The recount of a ballot bundle from its blocks alone. */
import { isOlderText, keyBytes, MalformedBallot, parseBallot, SCHEME } from './ballot_text.ts'
import { NotCanonical, parseCanonical } from './canonical_json.ts'
import { cidV0, MAX_BLOCK } from './cid.ts'
import {
  type Ballot,
  type Counts,
  readPart,
  readRoot,
  type Root,
  UnexpectedShape,
} from './documents.ts'
import { isSignedBy } from './signatures.ts'

/** A block's bytes by its CID. */
export type GetBlock = (cid: string) => Promise<Uint8Array>

/** What a bundle contains, and what is wrong with it. */
export interface Recount {
  readonly cid: string
  readonly root: Root
  readonly ballots: readonly Ballot[]
  /** Sums of weights, as they go on chain. */
  readonly votesFor: number
  readonly votesAgainst: number
  /** Votes cast on chain. */
  readonly fromChain: number
  /** Ballots of older schemes, whose signatures prove the wallet and not the choice. */
  readonly unbound: number
  /** Empty when the bundle is valid. */
  readonly problems: readonly string[]
}

/** The blocks are not a bundle; the message says why. */
export class BundleError extends Error {}

const BASIS_POINTS = 10_000n

/**
 * Recount a bundle: every block must be the bytes of its CID and canonical, every signature valid
 * and of what is counted, every wallet counted once, and the counts those of the ballots.
 * Throws `BundleError` where the blocks cannot be read as a bundle.
 */
export async function recount(
  cid: string,
  get: GetBlock,
  onProgress: (checked: number, of: number) => void = () => {},
): Promise<Recount> {
  const root = await block(cid, get, readRoot)
  const ballots = await allBallots(root, get)
  const problems: string[] = []
  for (const [number, ballot] of ballots.entries()) {
    const problem = await ballotProblem(root, ballot)
    if (problem !== undefined) problems.push(`ballot ${number} of ${ballot.wallet}: ${problem}`)
    onProgress(number + 1, ballots.length)
  }
  const repeated = repeatedWallets(ballots)
  if (repeated.length > 0) problems.push(`counted more than once: ${repeated.join(', ')}`)
  const found = countsOf(ballots)
  if (!sameCounts(found, root.counts)) {
    problems.push(
      `the ballots add up to ${countsText(found)}, the bundle states ${countsText(root.counts)}`,
    )
  }
  return {
    cid,
    root,
    ballots,
    votesFor: found.votes_for,
    votesAgainst: found.votes_against,
    fromChain: ballots.filter((ballot) => ballot.source === 'chain').length,
    unbound: ballots.filter((ballot) => ballot.source === 'wallet' && ballot.scheme !== SCHEME).length,
    problems,
  }
}

async function allBallots(root: Root, get: GetBlock): Promise<readonly Ballot[]> {
  if ((root.ballots === undefined) === (root.parts === undefined)) {
    throw new BundleError('a bundle must have either ballots or parts')
  }
  const ballots = [...(root.ballots ?? [])]
  for (const [number, cid] of (root.parts ?? []).entries()) {
    const part = await block(cid, get, readPart)
    if (part.number !== number) {
      throw new BundleError(`part ${number} of the bundle names itself part ${part.number}`)
    }
    ballots.push(...part.ballots)
  }
  return ballots
}

async function block<T>(cid: string, get: GetBlock, read: (value: unknown) => T): Promise<T> {
  const data = await get(cid)
  if (data.length > MAX_BLOCK || (await cidV0(data)) !== cid) {
    throw new BundleError(`the block of ${cid} contains other bytes`)
  }
  try {
    return read(parseCanonical(data))
  } catch (error) {
    if (!(error instanceof NotCanonical || error instanceof UnexpectedShape)) throw error
    throw new BundleError(`the block ${cid} is not part of a bundle: ${error.message}`)
  }
}

/** What is wrong with a ballot, undefined when its proof is valid. */
async function ballotProblem(root: Root, ballot: Ballot): Promise<string | undefined> {
  const weight = ballot.weight ?? 1
  if (weight !== 1 && root.rules.weight_unit === undefined) {
    return `its weight is ${weight}, but each wallet counts once`
  }
  if (ballot.source === 'chain') {
    // Its proof is the VoteRecord on chain, at the address of market, wallet and kind.
    return ballot.voted_at === undefined ? 'it is a vote on chain without its time' : undefined
  }
  if (ballot.source !== 'wallet') return `its source '${ballot.source}' is unknown`
  return proofProblem(root, ballot)
}

async function proofProblem(root: Root, ballot: Ballot): Promise<string | undefined> {
  const { scheme, message, signature } = ballot
  if (scheme === undefined || message === undefined || signature === undefined) {
    return 'its scheme, message or signature is missing'
  }
  const program = keyBytes(root.program, 32)
  const wallet = keyBytes(ballot.wallet, 32)
  const proof = keyBytes(signature, 64)
  if (program === undefined || wallet === undefined || proof === undefined) {
    return 'the program, its wallet or its signature is not base58'
  }
  if (!(await isSignedBy(message, proof, wallet, program))) {
    return "the signature is not the wallet's for this message"
  }
  if (scheme === SCHEME) return textProblem(root, ballot, message)
  if (isOlderText(message, scheme)) return undefined
  return `the message is not a text of the scheme '${scheme}'`
}

function textProblem(root: Root, ballot: Ballot, message: string): string | undefined {
  let text
  try {
    text = parseBallot(message)
  } catch (error) {
    if (!(error instanceof MalformedBallot)) throw error
    return `the message ${error.message}`
  }
  const isOfThisVote =
    text.program === root.program &&
    text.network === root.network &&
    text.market === root.market &&
    text.kind === root.kind &&
    text.round === root.round
  if (!isOfThisVote) return 'the message is for another program, network, market, vote or round'
  if (text.choice !== ballot.choice) return 'the message states the other choice'
  return undefined
}

function repeatedWallets(ballots: readonly Ballot[]): string[] {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const { wallet } of ballots) (seen.has(wallet) ? repeated : seen).add(wallet)
  return [...repeated].sort()
}

function countsOf(ballots: readonly Ballot[]): Counts {
  const sum = (rows: readonly Ballot[]) => rows.reduce((total, row) => total + (row.weight ?? 1), 0)
  const total = sum(ballots)
  const votesFor = sum(ballots.filter((ballot) => ballot.choice))
  return {
    votes_for: votesFor,
    votes_against: total - votesFor,
    total,
    share_bps: total === 0 ? 0 : Number((BigInt(votesFor) * BASIS_POINTS) / BigInt(total)),
    ballots: ballots.length,
  }
}

function sameCounts(one: Counts, other: Counts): boolean {
  return (Object.keys(one) as (keyof Counts)[]).every((name) => one[name] === other[name])
}

function countsText(counts: Counts): string {
  return (
    `${counts.votes_for} for and ${counts.votes_against} against (${counts.share_bps} bps) in` +
    ` ${counts.ballots} ballots`
  )
}
