/**
 * Prints what the dashboard finds wrong with bundles: for the tests, which compare it with what
 * `zmart verify-tally` finds. Reads a list of cases from standard input.
 */
import { base64 } from '@scure/base'
import { BundleError, recount } from '../../src/recount/bundle.ts'
import { Rpc } from '../../src/recount/rpc.ts'
import { type OnChain, verify } from '../../src/recount/verification.ts'

interface Case {
  readonly cid: string
  readonly blocks: Readonly<Record<string, string>>
  readonly chain?: OnChain & { readonly rpc: string }
}

interface Verdict {
  readonly error?: string
  readonly problems?: readonly string[]
  readonly counts?: readonly number[]
}

async function verdict({ cid, blocks, chain }: Case): Promise<Verdict> {
  const get = async (name: string) => {
    const block = blocks[name]
    if (block === undefined) throw new BundleError(`there is no block ${name}`)
    return base64.decode(block)
  }
  try {
    const found = await recount(cid, get)
    const counts = [found.votesFor, found.votesAgainst, found.fromChain, found.unbound]
    if (chain === undefined) return { counts, problems: found.problems }
    const checks = await verify(found, chain, new Rpc(chain.rpc))
    return { counts, problems: [...found.problems, ...checks.flatMap(({ problems }) => problems)] }
  } catch (error) {
    if (error instanceof BundleError) return { error: error.message }
    throw error
  }
}

const chunks: Uint8Array[] = []
for await (const chunk of process.stdin) chunks.push(chunk)
const cases = JSON.parse(Buffer.concat(chunks).toString()) as readonly Case[]
console.log(JSON.stringify(await Promise.all(cases.map(verdict))))
