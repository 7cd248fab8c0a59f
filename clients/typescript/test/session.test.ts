import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { base58 } from '@scure/base'
import { type Tokens, type Wallet, ZmartClient } from '../src/index.ts'
import { type Received, type Scripted, ScriptedServer, errorBody } from './scripted_server.ts'

const LIST: Scripted = { status: 200, body: { markets: [] } }
const FAR = 4e12

function tokens(change: Partial<Tokens> = {}): Tokens {
  return {
    wallet: 'w',
    expiresAt: FAR,
    accessToken: 'access-1',
    refreshToken: 'refresh-1',
    csrfToken: undefined,
    ...change,
  }
}

function signedIn(number: number, change: object = {}): Scripted {
  return {
    status: 200,
    body: {
      access_token: `access-${number}`,
      refresh_token: `refresh-${number}`,
      csrf_token: null,
      expires_in: 600,
      wallet: 'w',
      ...change,
    },
  }
}

function refused(code: string): Scripted {
  return { status: 401, body: errorBody(401, code) }
}

/** Accepts the access token 2 alone, which the refresh token 1 gets. */
function renewing(request: Received): Scripted {
  if (request.url === '/api/auth/refresh') {
    const isFirst = request.body === '{"refresh_token":"refresh-1"}'
    return isFirst ? signedIn(2) : refused('refresh_token_reused')
  }
  return request.headers.authorization === 'Bearer access-2' ? LIST : refused('access_token_expired')
}

test('the wallet signs the text, and the tokens are kept until the sign-out', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const wallet: Wallet = {
    address: 'address',
    signMessage: async (message) => sign(null, message, privateKey),
    signTransaction: () => Promise.reject(new Error('no transaction')),
  }
  const answers = [{ status: 200, body: { message: 'sign in' } }, signedIn(1), LIST, LIST, LIST]
  await using server = new ScriptedServer((_, number) => answers[number - 1] ?? LIST)
  const kept: (Tokens | undefined)[] = []
  const client = new ZmartClient({ url: await server.start(), onTokens: (one) => kept.push(one) })
  await client.signIn(wallet)
  await client.get('/api/markets')
  await client.signOut()
  await client.get('/api/markets')
  const sent = JSON.parse(server.received[1]?.body ?? '') as Record<string, string>
  assert(verify(null, Buffer.from('sign in'), publicKey, base58.decode(sent['signature'] ?? '')))
  assert.equal(sent['message'], 'sign in')
  assert.deepEqual(
    server.received.map((one) => one.headers.authorization),
    [undefined, undefined, 'Bearer access-1', undefined, undefined],
  )
  assert.equal(server.received[3]?.body, '{"refresh_token":"refresh-1"}')
  assert.deepEqual(kept.map((one) => one?.accessToken), ['access-1', undefined])
})

test('a sign-in is never sent twice', async () => {
  await using server = new ScriptedServer((_, number) =>
    number === 1
      ? { status: 200, body: { message: 'sign in' } }
      : { status: 503, body: errorBody(503, 'x'), headers: { 'retry-after': '0' } },
  )
  const client = new ZmartClient({ url: await server.start() })
  const signMessage = async () => new Uint8Array(64)
  const wallet = { address: 'a', signMessage, signTransaction: signMessage }
  await assert.rejects(client.signIn(wallet), { status: 503 })
  assert.equal(server.received.length, 2)
})

test('requests at the same time renew the session once', async () => {
  await using server = new ScriptedServer(renewing)
  const client = new ZmartClient({ url: await server.start(), tokens: tokens() })
  await Promise.all(Array.from({ length: 16 }, () => client.get('/api/markets')))
  const renewals = server.received.filter((one) => one.url === '/api/auth/refresh')
  assert.equal(renewals.length, 1)
  assert.equal(renewals[0]?.headers.authorization, undefined)
})

test('a refusal that comes after the renewal causes no second one', async () => {
  let renewed = (): void => undefined
  const afterRenewal = new Promise<void>((resolve) => {
    renewed = resolve
  })
  await using server = new ScriptedServer(async (request, number) => {
    if (number === 1) await afterRenewal
    return renewing(request)
  })
  const client = new ZmartClient({
    url: await server.start(),
    tokens: tokens(),
    onTokens: () => renewed(),
  })
  await Promise.all([client.get('/api/markets'), client.get('/api/markets')])
  const renewals = server.received.filter((one) => one.url === '/api/auth/refresh')
  assert.equal(renewals.length, 1)
})

test('a write is repeated with its body and its key after a renewal', async () => {
  await using server = new ScriptedServer(renewing)
  const client = new ZmartClient({ url: await server.start(), tokens: tokens() })
  const body = { market_id: '01'.repeat(32), content: 'hello' }
  await client.post('/api/discussions', { body })
  const [first, , second] = server.received
  assert.equal(second?.body, JSON.stringify(body))
  assert.equal(second?.headers['idempotency-key'], first?.headers['idempotency-key'])
})

test('a token that is about to end is renewed before the request', async () => {
  await using server = new ScriptedServer(renewing)
  const ending = tokens({ expiresAt: Date.now() + 5000 })
  await new ZmartClient({ url: await server.start(), tokens: ending }).get('/api/markets')
  assert.deepEqual(server.received.map((one) => one.url), ['/api/auth/refresh', '/api/markets'])
})

test('a session that cannot be renewed is given up', async () => {
  const answers = [refused('access_token_expired'), refused('session_ended'), LIST]
  await using server = new ScriptedServer((_, number) => answers[number - 1] ?? LIST)
  const kept: (Tokens | undefined)[] = []
  const client = new ZmartClient({
    url: await server.start(),
    tokens: tokens(),
    onTokens: (one) => kept.push(one),
  })
  await assert.rejects(client.get('/api/markets'), { code: 'session_ended' })
  assert.deepEqual(kept, [undefined])
  await client.get('/api/markets')
  assert.equal(server.received[2]?.headers.authorization, undefined)
})

test('a token that is refused again is not renewed for ever', async () => {
  await using server = new ScriptedServer((request, number) =>
    request.url === '/api/auth/refresh' ? signedIn(number) : refused('access_token_expired'),
  )
  const client = new ZmartClient({ url: await server.start(), tokens: tokens() })
  await assert.rejects(client.get('/api/markets'), { code: 'access_token_expired' })
  assert.equal(server.received.length, 3)
})

test('with cookies no token is read, and writes repeat the CSRF token', async () => {
  const requests: Request[] = []
  const answers = [{ message: 'sign in' }, (signedIn(1).body as object), {}, {}]
  const csrf = { access_token: null, refresh_token: null, csrf_token: 'csrf' }
  const client = new ZmartClient({
    url: 'http://api',
    cookies: true,
    fetch: async (request) => {
      requests.push(request)
      return Response.json({ ...answers[requests.length - 1], ...csrf })
    },
  })
  const signMessage = async () => new Uint8Array(64)
  await client.signIn({ address: 'a', signMessage, signTransaction: signMessage })
  await client.get('/api/markets')
  await client.post('/api/discussions', { body: { market_id: '01'.repeat(32), content: 'hello' } })
  await client.signOut()
  assert.deepEqual(new Set(requests.map((one) => one.credentials)), new Set(['include']))
  assert.deepEqual(
    requests.map((one) => one.headers.get('x-csrf-token')),
    [null, null, null, 'csrf', null],
  )
  assert.equal(((await requests[1]?.json()) as { cookies: boolean }).cookies, true)
  assert.equal(requests.some((one) => one.headers.has('authorization')), false)
})
