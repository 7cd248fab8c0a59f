import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZmartClient, asNumber, exactIntegers } from '../src/index.ts'
import type { Market, Trade } from '../src/index.ts'
import { ScriptedServer } from './scripted_server.ts'

test('pages follow the cursor in Link and drop the offset', async () => {
  await using server = new ScriptedServer((request) => {
    const cursor = new URL(request.url, 'http://api').searchParams.get('cursor')
    const next = { null: 'a/b+c', 'a/b+c': 'last' }[String(cursor)]
    const link = `</api/markets?limit=2&cursor=${encodeURIComponent(next ?? '')}>; rel="next"`
    return {
      status: 200,
      body: { markets: [{ id: String(cursor) }] },
      headers: next === undefined ? {} : { link },
    }
  })
  const client = new ZmartClient({ url: await server.start() })
  const ids: string[] = []
  const query = { limit: 2, offset: 0, state: ['ACTIVE' as const, 'RESOLVING' as const] }
  for await (const page of client.pages('/api/markets', { params: { query } })) {
    ids.push(...page.markets.map((market) => market.id))
  }
  assert.deepEqual(ids, ['null', 'a/b+c', 'last'])
  assert.deepEqual(server.received.map((one) => one.url), [
    '/api/markets?limit=2&offset=0&state=ACTIVE&state=RESOLVING',
    '/api/markets?limit=2&state=ACTIVE&state=RESOLVING&cursor=a%2Fb%2Bc',
    '/api/markets?limit=2&state=ACTIVE&state=RESOLVING&cursor=last',
  ])
})

test('exact integers are those of the text, not the rounded numbers', () => {
  const row = JSON.parse('{"shares": 9007199254740993, "exact": {"shares": "9007199254740993"}}')
  const trade = row as Pick<Trade, 'shares' | 'exact'>
  assert.notEqual(String(trade.shares), '9007199254740993')
  const shares: bigint = exactIntegers(trade).shares
  assert.equal(shares, 9007199254740993n)
  assert.equal(asNumber(2n ** 53n - 1n), 9007199254740991)
  assert.throws(() => asNumber(2n ** 53n), RangeError)
})

test('types know paths, parameters, bodies and answers', () => {
  const client = new ZmartClient({ url: 'http://127.0.0.1:9' })
  const never = async (): Promise<void> => {
    const markets: Market[] = (await client.get('/api/markets')).markets
    markets.map((market) => exactIntegers(market).total_volume)
    const me = await client.patch('/api/users/me', { body: { name: 'Ada' } })
    me.wallet satisfies string
    // @ts-expect-error: the path has no PUT
    await client.put('/api/users/me', { body: { name: 'Ada' } })
    // @ts-expect-error: no such path
    await client.get('/api/market')
    // @ts-expect-error: the path's name is missing
    await client.get('/api/markets/{market}')
    // @ts-expect-error: no such parameter
    await client.get('/api/markets', { params: { query: { states: ['ACTIVE'] } } })
    // @ts-expect-error: a body lacks a member
    await client.post('/api/discussions', { body: { content: 'hello' } })
    // @ts-expect-error: no such option
    await client.get('/api/markets', { parms: {} })
    // @ts-expect-error: not a list with pages
    client.pages('/api/markets/{market}', { params: { path: { market: '' } } })
    // @ts-expect-error: not an exact integer of markets
    markets.map((market) => exactIntegers(market).volume)
  }
  assert.equal(typeof never, 'function')
})
