import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type LiveOptions,
  LiveUpdates,
  type SubscriptionEnded,
  type Update,
  ZmartClient,
  exactIntegers,
} from '../src/index.ts'
import { MOST_WAITING } from '../src/live/update_queue.ts'
import { ScriptedStream, message } from './scripted_stream.ts'

const CHANNEL = 'market:aa:trades'
const WALLET = 'wallet:address'
/** Connects again at once. */
const FAST: LiveOptions = { firstWait: 0.001, longestWait: 0.01 }
const TRANSPORTS = ['websocket', 'sse'] as const

/** The subscriptions of a test, and what they have received. */
class Reader {
  readonly updates: Update[] = []
  readonly ended: SubscriptionEnded[] = []
  readonly #stream: ScriptedStream
  readonly live: LiveUpdates

  constructor(stream: ScriptedStream, live: LiveUpdates) {
    this.#stream = stream
    this.live = live
  }

  subscribe(channel = CHANNEL, since?: number) {
    const onEnd = (error: SubscriptionEnded) => {
      this.ended.push(error)
      this.#stream.changed()
    }
    const options = since === undefined ? { onEnd } : { onEnd, since }
    return this.live.subscribe(channel, (update) => this.take(update), options)
  }

  take(update: Update): void {
    this.updates.push(update)
    this.#stream.changed()
  }

  /** The state as the updates make it. */
  numbers(channel = CHANNEL): number[] {
    return this.updates
      .filter((update) => update.channel === channel)
      .reduce<number[]>((known, update) => {
        if (update.kind === 'snapshot') return [...(update.state as { numbers: number[] }).numbers]
        return [...known, (update.data as unknown as { n: number }).n]
      }, [])
  }

  /** Positions of the frames, without those in snapshots. */
  positions(): number[] {
    return this.updates.filter(({ kind }) => kind === 'frame').map(({ seq }) => seq)
  }

  async receives(...numbers: number[]): Promise<void> {
    await this.#stream.until(() => this.numbers().length >= numbers.length)
    assert.deepEqual(this.numbers(), numbers)
  }
}

async function reading(
  stream: ScriptedStream,
  options: LiveOptions = {},
  ticket?: () => Promise<string>,
): Promise<Reader> {
  const url = await stream.start()
  const access = { url, send: (request: Request) => fetch(request), ticket: () => ticket }
  return new Reader(stream, new LiveUpdates(access, { ...FAST, ...options }))
}

for (const transport of TRANSPORTS) {
  test(`${transport}: a snapshot, then every frame once and in order`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    stream.append(CHANNEL, { n: 1 })
    const subscription = reader.subscribe()
    await reader.receives(1)
    stream.append(CHANNEL, { n: 2 })
    stream.append('market:bb', { n: 3 })
    stream.append(CHANNEL, { n: 4 })
    await reader.receives(1, 2, 4)
    assert.deepEqual(reader.updates.map(({ kind, seq }) => [kind, seq]), [
      ['snapshot', 1],
      ['frame', 2],
      ['frame', 4],
    ])
    assert.equal(subscription.position, 4)
    reader.live.close()
  })

  test(`${transport}: a lost frame is noticed by the next one, and asked for`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe()
    await stream.until(() => reader.updates.length === 1)
    stream.append(CHANNEL, { n: 1 })
    stream.next('lost')
    stream.append(CHANNEL, { n: 2 })
    stream.append(CHANNEL, { n: 3 })
    await reader.receives(1, 2, 3)
    assert.deepEqual(reader.positions(), [1, 2, 3])
    reader.live.close()
  })

  test(`${transport}: a frame that comes twice is applied once`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe()
    await stream.until(() => reader.updates.length === 1)
    stream.next('doubled')
    stream.append(CHANNEL, { n: 1 })
    stream.append(CHANNEL, { n: 2 })
    await reader.receives(1, 2)
    assert.deepEqual(reader.positions(), [1, 2])
    reader.live.close()
  })

  test(`${transport}: a lost frame that none follows is noticed by heartbeats`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe()
    await stream.until(() => reader.updates.length === 1)
    stream.next('lost')
    stream.append(CHANNEL, { n: 1 })
    stream.heartbeat()
    stream.heartbeat()
    await reader.receives(1)
    reader.live.close()
  })

  test(`${transport}: where the past is gone, a snapshot takes its place`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe()
    await stream.until(() => reader.updates.length === 1)
    stream.forget(CHANNEL)
    stream.next('lost')
    stream.append(CHANNEL, { n: 1 })
    stream.append(CHANNEL, { n: 2 })
    await reader.receives(1, 2)
    const last = reader.updates.at(-1)
    assert.equal(last?.kind === 'snapshot' && last.missed, 'too old')
    stream.append(CHANNEL, { n: 3 })
    await reader.receives(1, 2, 3)
    reader.live.close()
  })

  test(`${transport}: nothing is lost or doubled over connections that break`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe()
    await stream.until(() => reader.updates.length === 1)
    const numbers: number[] = []
    for (let round = 0; round < 30; round++) {
      const { connections } = stream
      stream.next('lost')
      for (const n of [3 * round, 3 * round + 1]) {
        numbers.push(n)
        stream.append(CHANNEL, { n })
      }
      stream.end()
      numbers.push(3 * round + 2)
      stream.append(CHANNEL, { n: 3 * round + 2 })
      await stream.until(() => stream.connections > connections)
    }
    await reader.receives(...numbers)
    assert.equal(new Set(reader.positions()).size, numbers.length)
    reader.live.close()
  })

  test(`${transport}: a silent connection counts as dead`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport, silence: 0.05 })
    reader.subscribe()
    await stream.until(() => stream.connections >= 3)
    reader.live.close()
  })

  test(`${transport}: a program goes on from a position that it has kept`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    for (const n of [1, 2, 3]) stream.append(CHANNEL, { n })
    reader.subscribe(CHANNEL, 1)
    await reader.receives(2, 3)
    assert.deepEqual(reader.updates.map(({ kind }) => kind), ['frame', 'frame'])
    reader.live.close()
  })

  test(`${transport}: a market may be named by its address`, async () => {
    await using stream = new ScriptedStream()
    stream.aliases.set('market:address', 'market:aa')
    const reader = await reading(stream, { transport })
    reader.subscribe('market:address')
    await stream.until(() => reader.updates.length === 1)
    stream.next('lost')
    stream.append('market:aa', { n: 1 })
    stream.append('market:aa', { n: 2 })
    await stream.until(() => reader.updates.length === 3)
    assert.deepEqual(reader.numbers('market:address'), [1, 2])
    reader.live.close()
  })

  test(`${transport}: of conflated states the newest counts`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe('system')
    await stream.until(() => reader.updates.length === 1)
    for (const [seq, n] of [[7, 1], [9, 2], [8, 3]] as const) {
      const frame = { type: 'system', timestamp: '', channel: 'system', conflated: true, seq, data: { n } }
      stream.say(frame)
    }
    await stream.until(() => reader.updates.length === 3)
    assert.deepEqual(reader.positions(), [7, 9])
    reader.live.close()
  })

  test(`${transport}: channels come and go on one client`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    const first = reader.subscribe('market:aa')
    await stream.until(() => reader.updates.length === 1)
    reader.subscribe('market:bb')
    await stream.until(() => reader.updates.some(({ channel }) => channel === 'market:bb'))
    first.close()
    assert.throws(() => reader.subscribe('market:bb'), /subscribed to already/)
    reader.subscribe('market:cc')
    await stream.until(() => reader.updates.some(({ channel }) => channel === 'market:cc'))
    stream.append('market:aa', { n: 1 })
    stream.append('market:bb', { n: 2 })
    stream.append('market:cc', { n: 3 })
    await stream.until(() => reader.numbers('market:cc').length === 1)
    assert.deepEqual(reader.numbers('market:bb'), [2])
    assert.deepEqual(reader.numbers('market:aa'), [])
    reader.live.close()
  })

  test(`${transport}: large integers are exact`, async () => {
    await using stream = new ScriptedStream()
    const reader = await reading(stream, { transport })
    reader.subscribe()
    await stream.until(() => reader.updates.length === 1)
    const exact = { shares: '9007199254740993', cost: '1' }
    stream.append(CHANNEL, { n: 1, shares: 9007199254740992, cost: 1, exact })
    await reader.receives(1)
    const frame = reader.updates[1]
    assert(frame?.kind === 'frame' && frame.type === 'trade')
    assert.equal(exactIntegers(frame.data).shares, 9007199254740993n)
    reader.live.close()
  })
}

test('the server ends the socket: policy stops, others are followed by another connection', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  reader.subscribe()
  await stream.until(() => reader.updates.length === 1)
  for (const code of [1012, 4002, 4029]) {
    const { connections } = stream
    stream.end(code)
    await stream.until(() => stream.connections > connections && stream.commands.length > connections)
  }
  const { connections } = stream
  stream.end(4008, 'Origin not allowed')
  await stream.until(() => reader.ended.length === 1)
  assert.equal(stream.connections, connections)
  assert.deepEqual(reader.ended.map(({ reason, message: text }) => [reason, text]), [
    ['4008', 'Origin not allowed'],
  ])
})

test('each connection authenticates with a ticket of its own before private channels', async () => {
  await using stream = new ScriptedStream()
  let tickets = 0
  const ticket = async () => `ticket-${++tickets}`
  const reader = await reading(stream, { transport: 'websocket' }, ticket)
  reader.subscribe(CHANNEL)
  reader.subscribe(WALLET)
  await stream.until(() => reader.updates.length === 2)
  stream.end()
  await stream.until(() => stream.commands.length === 6)
  const sent = stream.commands.map(({ action, channel, ticket: one }) => [action, one ?? channel])
  assert.deepEqual(sent, [
    ['subscribe', CHANNEL],
    ['authenticate', 'ticket-1'],
    ['subscribe', WALLET],
    ['subscribe', CHANNEL],
    ['authenticate', 'ticket-2'],
    ['subscribe', WALLET],
  ])
  reader.live.close()
})

test('where the session ends, private subscriptions end and others go on', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' }, async () => 'ticket')
  reader.subscribe(CHANNEL)
  reader.subscribe(WALLET)
  await stream.until(() => reader.updates.length === 2)
  const data = { reason: 'session_ended', message: 'sign in again' }
  stream.say({ type: 'unsubscribed', timestamp: '', channel: WALLET, data })
  await stream.until(() => reader.ended.length === 1)
  assert.equal(reader.ended[0]?.reason, 'session_ended')
  stream.append(CHANNEL, { n: 1 })
  await reader.receives(1)
  reader.live.close()
})

test('a refused subscription ends; one that the server cannot answer now is asked for again', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  const error = (code: string) => ({ type: 'error', timestamp: '', data: { error: code, code } })
  stream.answers.push(error('forbidden'), error('database_unavailable'))
  reader.subscribe(WALLET)
  reader.subscribe(CHANNEL)
  await stream.until(() => reader.updates.length === 1)
  assert.deepEqual(reader.ended.map(({ channel, reason }) => [channel, reason]), [[WALLET, 'forbidden']])
  assert.deepEqual(stream.commands.map(({ channel }) => channel), [WALLET, CHANNEL, CHANNEL])
  reader.live.close()
})

test('a resumption that does not help is followed by a snapshot', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  reader.subscribe()
  await stream.until(() => reader.updates.length === 1)
  stream.append(CHANNEL, { n: 1 })
  await reader.receives(1)
  const broken = { seq: 9, prev: 8, type: 'trade', data: { n: 9 } }
  stream.say(message(CHANNEL, broken))
  await stream.until(() => stream.commands.length === 2)
  stream.heartbeat() // answered after the acknowledgement
  stream.say(message(CHANNEL, broken))
  await stream.until(() => reader.updates.at(-1)?.kind === 'snapshot' && stream.commands.length === 3)
  assert.deepEqual(stream.commands.map(({ since }) => since), [undefined, 1, undefined])
  reader.live.close()
})

test('what a refused event stream means for the next one', async () => {
  await using stream = new ScriptedStream()
  stream.refusal = { status: 503, code: 'database_unavailable' }
  const reader = await reading(stream, { transport: 'sse' })
  reader.subscribe()
  await stream.until(() => stream.requests.length >= 3)
  stream.refusal = { status: 403, code: 'forbidden' }
  await stream.until(() => reader.ended.length === 1)
  assert.equal(reader.ended[0]?.reason, 'forbidden')
})

test('an event stream resumes all its channels from one position', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'sse' })
  reader.subscribe('market:aa')
  reader.subscribe('market:bb')
  await stream.until(() => new Set(reader.updates.map(({ channel }) => channel)).size === 2)
  for (const n of [1, 2, 3]) stream.append('market:aa', { n })
  await stream.until(() => reader.numbers('market:aa').length === 3)
  const { connections } = stream
  stream.end()
  await stream.until(() => stream.connections > connections)
  assert.equal(stream.requests.at(-1)?.searchParams.get('since'), '3')
  assert.equal(stream.headers.at(-1)?.accept, 'text/event-stream')
  reader.live.close()
})

test('where sockets cannot be opened, event streams take their place', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { socketUrl: 'ws://127.0.0.1:1/ws' })
  reader.subscribe()
  await stream.until(() => reader.updates.length === 1)
  assert.equal(stream.requests.length, 1)
  reader.live.close()
})

test('a closed subscription receives nothing more, and the last one ends the connection', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  reader.subscribe()
  reader.subscribe('markets').close()
  await stream.until(() => reader.updates.length === 1)
  assert.deepEqual(reader.updates.map(({ channel }) => channel), [CHANNEL])
  stream.answers.push({ type: 'unsubscribed', timestamp: '', channel: CHANNEL, data: { reason: 'x' } })
  reader.subscribe('market:bb')
  await stream.until(() => reader.ended.length === 1)
  reader.live.close()
  await stream.until(() => stream.clients === 0)
})

test('a loop takes updates, and leaving it ends the subscription', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  reader.subscribe('markets')
  await stream.until(() => reader.updates.length === 1)
  const taken: number[] = []
  for await (const update of reader.live.updates(CHANNEL)) {
    taken.push(update.seq)
    if (taken.length === 3) break
    stream.append(CHANNEL, { n: taken.length })
  }
  assert.deepEqual(taken, [0, 1, 2])
  await stream.until(() => stream.commands.at(-1)?.action === 'unsubscribe')
  reader.live.close()
})

test('a loop ends with the client, and fails where the server refuses', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  const updates = reader.live.updates(CHANNEL)
  assert.equal((await updates.next()).done, false)
  reader.live.close()
  assert.equal((await updates.next()).done, true)
  stream.answers.push({ type: 'error', timestamp: '', data: { error: 'no', code: 'forbidden' } })
  await assert.rejects(reader.live.updates(WALLET).next(), { reason: 'forbidden' })
  reader.live.close()
})

test('a loop that falls far behind gets a snapshot', async () => {
  await using stream = new ScriptedStream()
  const reader = await reading(stream, { transport: 'websocket' })
  const updates = reader.live.updates(CHANNEL)
  assert.equal((await updates.next()).value?.kind, 'snapshot')
  reader.subscribe('markets')
  for (let n = 0; n <= MOST_WAITING; n++) stream.append(CHANNEL, { n })
  stream.append('markets', { n: 0 })
  await stream.until(() => reader.numbers('markets').length === 1)
  const { value } = await updates.next()
  assert.deepEqual([value?.kind, value?.seq], ['snapshot', MOST_WAITING + 1])
  await updates.return()
  reader.live.close()
})

test('an error of the program does not end the stream', async () => {
  await using stream = new ScriptedStream()
  const errors: unknown[] = []
  const onError = (error: unknown) => {
    errors.push(error)
    stream.changed()
  }
  const reader = await reading(stream, { transport: 'websocket', onError })
  reader.live.subscribe('markets', () => {
    throw new Error('of the program')
  })
  reader.subscribe()
  await stream.until(() => reader.updates.length === 1)
  await stream.until(() => errors.length === 1)
  assert.equal(String(errors[0]), 'Error: of the program')
  stream.append(CHANNEL, { n: 1 })
  await reader.receives(1)
  reader.live.close()
})

test('a client of the API shows who calls', async () => {
  await using stream = new ScriptedStream()
  const client = new ZmartClient({ url: await stream.start(), apiKey: 'zmart_key' })
  const live = client.live({ ...FAST, transport: 'sse' })
  const reader = new Reader(stream, live)
  reader.subscribe()
  await stream.until(() => reader.updates.length === 1)
  assert.equal(stream.headers[0]?.['x-api-key'], 'zmart_key')
  live.close()
})
