/** The calls of Solana's JSON-RPC that a recount needs, at confirmed. */
import { base58, base64 } from '@scure/base'

export interface Account {
  readonly owner: string
  readonly data: Uint8Array
}

export interface Instruction {
  readonly program: string
  readonly accounts: readonly string[]
  readonly data: Uint8Array
}

export interface Transaction {
  readonly slot: number
  readonly failed: boolean
  /** Without inner instructions. */
  readonly instructions: readonly Instruction[]
}

export interface Match {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** The endpoint refused or could not be reached; the message says why. */
export class RpcFailed extends Error {}

export class Rpc {
  readonly #url: string
  readonly #send: typeof fetch

  constructor(url: string, send: typeof fetch = (...given) => fetch(...given)) {
    this.#url = url
    this.#send = send
  }

  async genesisHash(): Promise<string> {
    return (await this.#call('getGenesisHash', [])) as string
  }

  /** The account at an address, undefined where there is none. */
  async account(address: string): Promise<Account | undefined> {
    const options = { encoding: 'base64', commitment: 'confirmed' }
    const found = (await this.#call('getAccountInfo', [address, options])) as {
      value: { owner: string; data: [string, string] } | null
    }
    if (found.value === null) return undefined
    return { owner: found.value.owner, data: base64.decode(found.value.data[0]) }
  }

  /** The data of the program's accounts whose bytes match. */
  async programAccounts(program: string, matches: readonly Match[]): Promise<Uint8Array[]> {
    const filters = matches.map(({ offset, bytes }) => ({
      memcmp: { offset, bytes: base58.encode(bytes), encoding: 'base58' },
    }))
    const options = { encoding: 'base64', commitment: 'confirmed', filters }
    const found = (await this.#call('getProgramAccounts', [program, options])) as {
      account: { data: [string, string] }
    }[]
    return found.map(({ account }) => base64.decode(account.data[0]))
  }

  /** A transaction by its signature, undefined where the endpoint does not have it. */
  async transaction(signature: string): Promise<Transaction | undefined> {
    const options = { encoding: 'json', commitment: 'confirmed', maxSupportedTransactionVersion: 0 }
    const found = (await this.#call('getTransaction', [signature, options])) as RawTransaction | null
    if (found === null) return undefined
    const { message } = found.transaction
    const loaded = found.meta?.loadedAddresses
    const keys = [...message.accountKeys, ...(loaded?.writable ?? []), ...(loaded?.readonly ?? [])]
    return {
      slot: found.slot,
      failed: found.meta === null || found.meta.err !== null,
      instructions: message.instructions.map((one) => ({
        program: keys[one.programIdIndex] ?? '',
        accounts: one.accounts.map((place) => keys[place] ?? ''),
        data: base58.decode(one.data),
      })),
    }
  }

  async #call(method: string, params: readonly unknown[]): Promise<unknown> {
    let answer: { result?: unknown; error?: { message?: string } }
    try {
      const response = await this.#send(this.#url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      })
      answer = await response.json()
    } catch (error) {
      throw new RpcFailed(`${method} was not answered: ${String(error)}`)
    }
    if (answer.error !== undefined || answer.result === undefined) {
      throw new RpcFailed(`${method} was refused: ${answer.error?.message ?? 'no result'}`)
    }
    return answer.result
  }
}

interface RawTransaction {
  readonly slot: number
  readonly meta: {
    readonly err: unknown
    readonly loadedAddresses?: { readonly writable: string[]; readonly readonly: string[] }
  } | null
  readonly transaction: {
    readonly message: {
      readonly accountKeys: readonly string[]
      readonly instructions: readonly {
        readonly programIdIndex: number
        readonly accounts: readonly number[]
        readonly data: string
      }[]
    }
  }
}
