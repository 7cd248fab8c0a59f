import createClient, { type Client } from 'openapi-fetch'
import { ApiError, errorOf, throwErrors } from './errors.ts'
import type { Send } from './retries.ts'
import type { SignedIn, paths } from './schema.ts'
import { type Wallet, signedText } from './wallet.ts'

/** What is kept of a sign-in; keep it like a password. */
export interface Tokens {
  /** The wallet's address. */
  readonly wallet: string
  /** Milliseconds since 1970 until which the access token is good, by this machine's clock. */
  readonly expiresAt: number
  /** Sent with each request; undefined where a cookie holds it. */
  readonly accessToken: string | undefined
  /** Renews the session once; undefined where a cookie holds it. */
  readonly refreshToken: string | undefined
  /** What writes repeat in a header where cookies hold the tokens. */
  readonly csrfToken: string | undefined
}

export interface SessionOptions {
  /** The tokens of an earlier sign-in, to go on with its session. */
  readonly tokens?: Tokens
  /** Called with other tokens after each sign-in and renewal, and without after a sign-out. */
  readonly onTokens?: (tokens: Tokens | undefined) => void
  /** In a browser: have cookies hold the tokens, which no script can read. */
  readonly cookies?: boolean
}

/** Renewed so many milliseconds before its end, so that a request does not arrive after it. */
const MARGIN = 30_000
const RENEWABLE = ['access_token_expired', 'access_token_invalid']
/** Answers to a renewal after which only a new sign-in helps. */
const ENDED = ['session_ended', 'refresh_token_invalid', 'refresh_token_reused']

/** The session of a wallet that signed in, or none yet. */
export class Session {
  readonly #api: Client<paths>
  readonly #options: SessionOptions
  #tokens: Tokens | undefined
  #renewal: Promise<void> | undefined

  constructor(url: string, send: Send, options: SessionOptions) {
    this.#api = createClient<paths>({
      baseUrl: url,
      fetch: send,
      ...(options.cookies === true ? { credentials: 'include' as const } : {}),
    })
    this.#api.use(throwErrors)
    this.#options = options
    this.#tokens = options.tokens
  }

  get tokens(): Tokens | undefined {
    return this.#tokens
  }

  async signIn(wallet: Wallet): Promise<void> {
    const { address } = wallet
    const text = await answer(this.#api.POST('/api/auth/nonce', { body: { wallet: address } }))
        const body = {
      message: text.message,
      signature: await signedText(wallet, text.message),
      wallet: address,
      cookies: this.#options.cookies ?? false,
    }
    this.#change(tokensOf(await answer(this.#api.POST('/api/auth/verify', { body }))))
  }

  /** Go on with the session that an earlier page's cookies hold, if there is one. */
  async resume(): Promise<Tokens | undefined> {
    try {
      this.#change(tokensOf(await answer(this.#api.POST('/api/auth/refresh', refreshBody(undefined)))))
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error
    }
    return this.#tokens
  }

  async signOut(): Promise<void> {
    const tokens = this.#tokens
    if (tokens === undefined) return
    this.#change(undefined)
    await answer(this.#api.POST('/api/auth/logout', refreshBody(tokens)))
  }

  /** A `send` that shows who calls, and renews the session where its access token has ended. */
  authorizing(send: Send): Send {
    return async (request) => {
      const tokens = this.#tokens
      if (tokens === undefined) return send(request)
      if (tokens.expiresAt - MARGIN < Date.now()) await this.#renew(tokens)
      const sentWith = this.#tokens
      const response = await send(this.#authorized(request))
      const code = response.status === 401 ? (await errorOf(response.clone())).code : ''
      if (ENDED.includes(code)) this.#giveUp(sentWith)
      if (sentWith === undefined || !RENEWABLE.includes(code)) return response
      await this.#renew(sentWith)
      return send(this.#authorized(request))
    }
  }

  #authorized(request: Request): Request {
    const tokens = this.#tokens
    const made = new Request(request.clone(), this.#options.cookies ? { credentials: 'include' } : {})
    if (tokens?.accessToken !== undefined) {
      made.headers.set('Authorization', `Bearer ${tokens.accessToken}`)
    }
    if (tokens?.csrfToken !== undefined && request.method !== 'GET') {
      made.headers.set('X-CSRF-Token', tokens.csrfToken)
    }
    return made
  }

  /** One renewal at a time; those that wait for it need none of their own. */
  async #renew(tokens: Tokens): Promise<void> {
    if (this.#tokens !== tokens) return
    this.#renewal ??= this.#exchange(tokens).finally(() => {
      this.#renewal = undefined
    })
    await this.#renewal
  }

  async #exchange(tokens: Tokens): Promise<void> {
    const sent = this.#api.POST('/api/auth/refresh', refreshBody(tokens))
    try {
      this.#change(tokensOf(await answer(sent)))
    } catch (error) {
      if (error instanceof ApiError && ENDED.includes(error.code)) this.#giveUp(tokens)
      throw error
    }
  }

  /** Give up tokens with which only a new sign-in helps. */
  #giveUp(tokens: Tokens | undefined): void {
    if (tokens !== undefined && this.#tokens === tokens) this.#change(undefined)
  }

  #change(tokens: Tokens | undefined): void {
    this.#tokens = tokens
    this.#options.onTokens?.(tokens)
  }
}

function tokensOf(answer: SignedIn): Tokens {
  return {
    wallet: answer.wallet,
    expiresAt: Date.now() + answer.expires_in * 1000,
    accessToken: answer.access_token ?? undefined,
    refreshToken: answer.refresh_token ?? undefined,
    csrfToken: answer.csrf_token ?? undefined,
  }
}

/** The body with the refresh token; null where a cookie holds it. */
function refreshBody(tokens: Tokens | undefined): { body: { refresh_token: string | null } } {
  return { body: { refresh_token: tokens?.refreshToken ?? null } }
}

async function answer<Data>(sent: Promise<{ data?: Data; response: Response }>): Promise<Data> {
  const { data } = await sent
  return data as Data
}
