/** The recount of a tally in this browser: against its bundle, the chain and the API. */
import type { Market, Network, Tally } from '@zmart/client'
import { BundleError, type GetBlock, recount, type Recount } from '../../recount/bundle.ts'
import { Rpc, RpcFailed } from '../../recount/rpc.ts'
import { type Check, verify } from '../../recount/verification.ts'

/** What a recount came to. */
export interface Verdict {
  readonly recount: Recount | undefined
  readonly checks: readonly Check[]
  /** Why something could not be checked; the verdict is then neither right nor wrong. */
  readonly unchecked: string | undefined
}

const FILE_CHECK = 'The published ballots are the bytes that their CID names'

/** Recount a tally, whose bundle is read from the API by its CID. */
export async function recountTally(
  tally: Tally,
  market: Market,
  network: Network,
  onProgress: (checked: number, of: number) => void,
): Promise<Verdict> {
  const cid = tally.bundle_cid ?? ''
  let found: Recount
  try {
    found = await recount(cid, getBlock, onProgress)
  } catch (error) {
    if (error instanceof BundleError) return ended([wrong(FILE_CHECK, error.message)])
    if (error instanceof NotRead) return ended([], error.message)
    throw error
  }
  const own = [...bundleChecks(found), apiCheck(found, tally)]
  const signature = tally.submission?.signature
  if (network.rpc_url === null) return ended(own, 'No public RPC endpoint is set (PUBLIC_RPC_URL).', found)
  if (signature == null) return ended(own, 'The transaction that writes the counts is not final yet.', found)
  const place = { program: network.program, market: market.on_chain_address, signature }
  try {
    return ended([...own, ...(await verify(found, place, new Rpc(network.rpc_url)))], undefined, found)
  } catch (error) {
    if (error instanceof RpcFailed) return ended(own, `The chain cannot be read: ${error.message}`, found)
    throw error
  }
}

/** Whether all was checked and found right. */
export function isRight({ checks, unchecked }: Verdict): boolean {
  return unchecked === undefined && checks.every(({ problems }) => problems.length === 0)
}

export function isWrong({ checks }: Verdict): boolean {
  return checks.some(({ problems }) => problems.length > 0)
}

function ended(checks: readonly Check[], unchecked?: string, found?: Recount): Verdict {
  return { recount: found, checks, unchecked }
}

function bundleChecks({ ballots, problems }: Recount): Check[] {
  return [
    { title: FILE_CHECK, problems: [] },
    {
      title: `${ballots.length} ballots: signed by their wallets for this choice, each wallet once, the sums add up`,
      problems,
    },
  ]
}

function apiCheck({ votesFor, votesAgainst, root }: Recount, tally: Tally): Check {
  const title = 'The API states the same counts'
  if (root.market !== tally.market_id || root.kind !== tally.kind || root.round !== tally.round) {
    return wrong(title, 'the bundle is of another vote')
  }
  const stated = [tally.exact.votes_for, tally.exact.votes_against]
  if (stated[0] === String(votesFor) && stated[1] === String(votesAgainst)) return { title, problems: [] }
  return wrong(
    title,
    `the API states ${stated[0]} for and ${stated[1]} against, the ballots give ${votesFor} and ${votesAgainst}`,
  )
}

function wrong(title: string, problem: string): Check {
  return { title, problems: [problem] }
}

class NotRead extends Error {}

const getBlock: GetBlock = async (cid) => {
  let response: Response
  try {
    response = await fetch(`/ipfs/${cid}`, { cache: 'no-store' })
  } catch {
    throw new NotRead('The API does not answer, so the bundle cannot be read.')
  }
  if (!response.ok) throw new NotRead(`The block ${cid} cannot be read: HTTP status ${response.status}.`)
  return new Uint8Array(await response.arrayBuffer())
}
