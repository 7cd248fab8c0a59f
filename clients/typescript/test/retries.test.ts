import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, ZmartClient } from '../src/index.ts'
import { ScriptedServer, type Scripted, errorBody } from './scripted_server.ts'

const EMPTY: Scripted = { status: 200, body: { markets: [], count: 0, next: null } }
const BUSY: Scripted = {
  status: 503,
  body: errorBody(503, 'database_unavailable'),
  headers: { 'retry-after': '0' },
}
const COMMENT = { market_id: '01'.repeat(32), content: 'hello' }

function refused(seconds: string): Scripted {
  return {
    status: 429,
    body: errorBody(429, 'limit_exceeded'),
    headers: { 'retry-after': seconds, 'x-request-id': 'abc' },
  }
}

async function start(
  script: ConstructorParameters<typeof ScriptedServer>[0],
): Promise<{ server: ScriptedServer; client: ZmartClient }> {
  const server = new ScriptedServer(script)
  const client = new ZmartClient({ url: await server.start(), retries: { firstWait: 0 } })
  return { server, client }
}

test('a read is repeated after 429, 503 and a cut connection', async () => {
  const answers = [refused('0'), BUSY, 'cut', EMPTY] as const
  const { server, client } = await start((_, number) => answers[number - 1] ?? EMPTY)
  await using _ = server
  assert.deepEqual((await client.get('/api/markets')).markets, [])
  assert.equal(server.received.length, 4)
})

test('a write is repeated with the same body under the same key', async () => {
  const { server, client } = await start((_, number) =>
    number < 3 ? (number === 1 ? 'cut' : BUSY) : { status: 201, body: {} },
  )
  await using _ = server
  await client.post('/api/discussions', { body: COMMENT })
  assert.equal(server.received.length, 3)
  assert.equal(new Set(server.received.map((one) => one.headers['idempotency-key'])).size, 1)
  assert.deepEqual(new Set(server.received.map((one) => one.body)), new Set([JSON.stringify(COMMENT)]))
})

test('two writes have two keys, and a given key is kept', async () => {
  const { server, client } = await start(() => ({ status: 201, body: {} }))
  await using _ = server
  await client.post('/api/discussions', { body: COMMENT })
  await client.post('/api/discussions', { body: COMMENT })
  await client.post('/api/discussions', { body: COMMENT, headers: { 'Idempotency-Key': 'mine' } })
  const keys = server.received.map((one) => one.headers['idempotency-key'])
  assert.equal(new Set(keys).size, 3)
  assert.equal(keys[2], 'mine')
})

test('the last error is thrown once the attempts are used up', async () => {
  const { server, client } = await start(() => BUSY)
  await using _ = server
  await assert.rejects(client.get('/api/markets'), { code: 'database_unavailable', status: 503 })
  assert.equal(server.received.length, 4)
})

test('a wait that is too long, and any other error, is thrown at once', async () => {
  const { server, client } = await start((_, number) =>
    number === 1 ? refused('3600') : { status: 404, body: errorBody(404, 'market_not_found') },
  )
  await using _ = server
  await assert.rejects(client.get('/api/markets'), (error) => {
    assert(error instanceof ApiError)
    assert.equal(error.retryAfter, 3600)
    assert.equal(error.requestId, 'abc')
    return error.code === 'limit_exceeded'
  })
  await assert.rejects(client.get('/api/markets'), { code: 'market_not_found' })
  assert.equal(server.received.length, 2)
})

test('an answer that is not the API\'s has a code of its own', async () => {
  const { server, client } = await start(() => ({ status: 502, body: '<html>' }))
  await using _ = server
  await assert.rejects(client.get('/api/markets'), { code: 'unreadable_answer', status: 502 })
})

test('an abort ends the waiting', async () => {
  const stop = new AbortController()
  const { server, client } = await start(() => {
    setImmediate(() => stop.abort(new Error('stopped')))
    return refused('20')
  })
  await using _ = server
  await assert.rejects(client.get('/api/markets', { signal: stop.signal }), { message: 'stopped' })
})
