import { base64 } from '@scure/base'
import createClient, { type Client, type Middleware } from 'openapi-fetch'
import type { AnyInput, Answer, Input, Method, PagedPath, PathWith } from './calls.ts'
import { TransactionFailed, throwErrors } from './errors.ts'
import { type LiveOptions, LiveUpdates } from './live/live_updates.ts'
import { DEFAULT_RETRIES, type RetryPolicy, type Send, sleep, withRetries } from './retries.ts'
import type { CastVote, TransactionDetail, paths } from './schema.ts'
import { Session, type SessionOptions, type Tokens } from './session.ts'
import { type Wallet, signedText } from './wallet.ts'

export interface ClientOptions extends SessionOptions {
  /** Address of the API, such as `https://api.example.com`. */
  readonly url: string
  /** Key of a service; wallets sign in instead. */
  readonly apiKey?: string
  readonly retries?: Partial<RetryPolicy>
  /** Replaces the global `fetch`. */
  readonly fetch?: Send
}

/**
 * A client of the API. Paths, parameters, bodies and answers are typed by its OpenAPI document;
 * what is not a success is thrown as an `ApiError`.
 */
export class ZmartClient {
  readonly #api: Client<paths>
  readonly #session: Session
  readonly #options: ClientOptions

  constructor(options: ClientOptions) {
    const send = withRetries(options.fetch ?? ((request) => fetch(request)), {
      ...DEFAULT_RETRIES,
      ...options.retries,
    })
    this.#options = options
    this.#session = new Session(options.url, send, options)
    this.#api = createClient<paths>({
      baseUrl: options.url,
      fetch: this.#session.authorizing(send),
      headers: options.apiKey === undefined ? {} : { 'X-Api-Key': options.apiKey },
    })
    this.#api.use(addKeys, throwErrors)
  }

  /** The tokens of the session; undefined while no wallet is signed in. */
  get tokens(): Tokens | undefined {
    return this.#session.tokens
  }

  /** Sign in with a wallet, which signs one text. */
  signIn(wallet: Wallet): Promise<void> {
    return this.#session.signIn(wallet)
  }

  /** End the session, if there is one. */
  signOut(): Promise<void> {
    return this.#session.signOut()
  }

  /** In a browser with cookies: go on with the session of an earlier page, if there is one. */
  resume(): Promise<Tokens | undefined> {
    return this.#session.resume()
  }

  /** Cast a ballot, which the wallet signs; a session alone never does. */
  async vote(wallet: Wallet, kind: VoteKind, market: string, choice: boolean): Promise<CastVote> {
    const text = await this.get('/api/votes/{kind}/{market}/message', {
      params: { path: { kind, market }, query: { vote: String(choice) } },
    })
    return this.post('/api/votes/{kind_or_market}', {
      params: { path: { kind_or_market: kind } },
      body: {
        market_id: text.market_id,
        vote: choice,
        message: text.message,
        signature: await signedText(wallet, text.message),
        wallet: wallet.address,
      },
    })
  }

  /**
   * Have the wallet sign a prepared transaction (base64), hand it in, and wait for its effects.
   * Throws `TransactionFailed` where it failed or did not land in time.
   */
  async submit(wallet: Wallet, transaction: string): Promise<TransactionDetail> {
    const signed = await wallet.signTransaction(base64.decode(transaction))
    const body = { transaction: base64.encode(signed) }
    return this.landing((await this.post('/api/transactions', { body })).signature)
  }

  /** Wait until a transaction is confirmed and its effects are in what the API answers. */
  async landing(signature: string): Promise<TransactionDetail> {
    for (;;) {
      const found = await this.get('/api/transactions/{signature}', {
        params: { path: { signature } },
      })
      const { relayed } = found
      if (relayed !== null && FAILED.includes(relayed.state)) throw new TransactionFailed(relayed)
      if (found.confirmed_at !== null && found.failed !== true) return found
      await sleep(POLL_SECONDS)
    }
  }

  /** Live updates, over one connection that is made with the first subscription. */
  live(options: LiveOptions = {}): LiveUpdates {
    const { url, apiKey, fetch: send = (request: Request) => fetch(request) } = this.#options
    const withKey = (request: Request) => {
      if (apiKey !== undefined) request.headers.set('X-Api-Key', apiKey)
      return send(request)
    }
    const ticket = async () => (await this.post('/api/realtime/tickets')).ticket
    return new LiveUpdates(
      {
        url,
        send: this.#session.authorizing(withKey),
        ticket: () => (apiKey === undefined && this.tokens === undefined ? undefined : ticket),
      },
      options,
    )
  }

  get<P extends PathWith<'get'>>(path: P, ...input: Input<P, 'get'>): Promise<Answer<P, 'get'>> {
    return this.#call('get', path, input[0])
  }

  /** As `get`, with how far the tables behind the answer had read the chain. */
  async reading<P extends PathWith<'get'>>(
    path: P,
    ...input: Input<P, 'get'>
  ): Promise<Reading<Answer<P, 'get'>>> {
    const { data, response } = await this.#exchange('get', path, input[0] ?? {})
    return {
      data: data as Answer<P, 'get'>,
      asOfSlot: whole(response.headers.get('zmart-as-of-slot')),
      lagSlots: whole(response.headers.get('zmart-lag-slots')),
    }
  }

  post<P extends PathWith<'post'>>(path: P, ...input: Input<P, 'post'>): Promise<Answer<P, 'post'>> {
    return this.#call('post', path, input[0])
  }

  put<P extends PathWith<'put'>>(path: P, ...input: Input<P, 'put'>): Promise<Answer<P, 'put'>> {
    return this.#call('put', path, input[0])
  }

  patch<P extends PathWith<'patch'>>(path: P, ...input: Input<P, 'patch'>): Promise<Answer<P, 'patch'>> {
    return this.#call('patch', path, input[0])
  }

  delete<P extends PathWith<'delete'>>(
    path: P,
    ...input: Input<P, 'delete'>
  ): Promise<Answer<P, 'delete'>> {
    return this.#call('delete', path, input[0])
  }

  /** Pages of a list, one after another, by the cursor in the header `Link`. */
  async *pages<P extends PagedPath & PathWith<'get'>>(
    path: P,
    ...input: Input<P, 'get'>
  ): AsyncGenerator<Answer<P, 'get'>, void, undefined> {
    let next: AnyInput | undefined = input[0] ?? {}
    while (next !== undefined) {
      const { data, response } = await this.#exchange('get', path, next)
      yield data as Answer<P, 'get'>
      next = followed(next, nextCursor(response.headers.get('link')))
    }
  }

  async #call<P extends keyof paths, M extends Method>(
    method: M,
    path: P,
    input: AnyInput = {},
  ): Promise<Answer<P, M>> {
    return (await this.#exchange(method, path, input)).data as Answer<P, M>
  }

  /** The types of path and input were checked where they came in. */
  #exchange(method: Method, path: string, input: AnyInput): Promise<Exchanged> {
    return this.#api.request(method, path as never, input as never) as Promise<Exchanged>
  }
}

/** An answer, and how current it is; slots are undefined where the API does not know them. */
export interface Reading<Data> {
  readonly data: Data
  /** Every transaction of the program up to this slot is in the answer. */
  readonly asOfSlot: number | undefined
  /** How many slots the chain's confirmed tip was ahead. */
  readonly lagSlots: number | undefined
}

export type VoteKind = 'proposal' | 'dispute'

const FAILED = ['failed', 'expired']
const POLL_SECONDS = 0.5

interface Exchanged {
  readonly data?: unknown
  readonly response: Response
}

function whole(text: string | null): number | undefined {
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined
}

const KEY = 'Idempotency-Key'

/** A write that is sent again with its key is done once. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const addKeys: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET' && !request.headers.has(KEY)) request.headers.set(KEY, newKey())
  },
}

/** The input of the next page: with its cursor in place of an offset. */
function followed(input: AnyInput, cursor: string | undefined): AnyInput | undefined {
  if (cursor === undefined) return undefined
  const { offset: _, ...query } = input.params?.query ?? {}
  return { ...input, params: { ...input.params, query: { ...query, cursor } } }
}

function nextCursor(link: string | null): string | undefined {
  const address = /<([^>]+)>; rel="next"/.exec(link ?? '')?.[1]
  if (address === undefined) return undefined
  return new URL(address, 'http://api').searchParams.get('cursor') ?? undefined
}
