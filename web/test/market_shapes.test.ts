import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiscussionSnapshot, TimelineStep } from '@zmart/client'
import { Changes } from '../src/data/changes.ts'
import { areaPath, depthShape } from '../src/pages/market/depth_shape.ts'
import { intervalFor, priceSeries, secondsOf } from '../src/pages/market/price_series.ts'
import { timelineOf, titleOf } from '../src/pages/market/timeline.ts'
import { type Topic, topicsOf } from '../src/pages/market/topics.ts'

const trade = (time: number, price: number, slot: number) =>
  ({
    block_time: new Date(time * 1000).toISOString(),
    price_yes: price,
    slot,
    outcome: true,
    trade_type: 'buy',
  }) as never

test('the price has a step for each trade, from its start to the end', () => {
  const newestFirst = [trade(200, 600_000_000, 3), trade(100, 550_000_000, 1)]
  const { times, prices, markers } = priceSeries(newestFirst, 500_000_000, 50, 300)
  assert.deepEqual(times, [50, 100, 200, 300])
  assert.deepEqual(prices.map(Math.round), [50, 55, 60, 60])
  assert.equal(markers.length, 2)
})

test('of several trades in one second the last one counts', () => {
  const newestFirst = [trade(100, 600_000_000, 2), trade(100, 550_000_000, 1)]
  assert.deepEqual(priceSeries(newestFirst, 500_000_000, 50, 60).prices.map(Math.round), [50, 60])
})

test('times increase strictly, whatever comes in', () => {
  const { times } = priceSeries([trade(10, 600_000_000, 2)], 500_000_000, 50, 20)
  assert.deepEqual(times, [...new Set(times)].sort((one, other) => one - other))
})

test('candles of a span are few enough to be drawn', () => {
  for (const span of [0, 59, 3_600, 86_400, 30 * 86_400, 365 * 86_400]) {
    assert.ok(span / secondsOf(intervalFor(span)) <= 90, String(span))
  }
  assert.equal(intervalFor(60), '1m')
})

test('a curve begins at the price and rises to the most shares', () => {
  const level = (price: number, shares: string) => ({ price, exact: { shares } }) as never
  const shape = depthShape({
    price: 500_000_000,
    asks: [level(520_000_000, '3000000000'), level(540_000_000, '9007199254740993000')],
    bids: [],
  })
  assert.ok(shape !== undefined)
  assert.deepEqual(shape.asks.map(({ price }) => price), [0.5, 0.52, 0.54])
  assert.ok(shape.most > 9e9)
  assert.equal(shape.bids.length, 1)
  const path = areaPath([{ price: 0, shares: 0 }, { price: 1, shares: 4 }], 4, [0, 1], 100, 50)
  assert.equal(path, 'M0.0 50L0.0 50.0L100.0 0.0L100.0 50Z')
  assert.equal(depthShape({ price: null, asks: [], bids: [] }), undefined)
})

test('a timeline says what happened, in words', () => {
  const step = (event: string) => titleOf({ event } as never)
  assert.equal(step('MarketActivated'), 'Opened for trading')
  assert.equal(step('MarketAdjourned'), 'MarketAdjourned')
})

test('frames announce what they concern', () => {
  const state = (old_state: string | null, new_state: string | null) =>
    topicsOf({ kind: 'frame', type: 'market_state', data: { old_state, new_state } } as never)
  assert.deepEqual(topicsOf({ kind: 'frame', type: 'vote' } as never), ['votes'])
  assert.deepEqual(state(null, null), [])
  assert.equal(state('ACTIVE', 'RESOLVING').length, 4)
  assert.deepEqual(topicsOf({ kind: 'snapshot', missed: undefined } as never), [])
  assert.equal(topicsOf({ kind: 'snapshot', missed: 'too old' } as never).length, 4)
})

test('a burst of changes is told once, to followers of its topics alone', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 10_000 })
  const changes = new Changes<Topic>()
  const told: Topic[] = []
  changes.follow(['votes'], () => told.push('votes'))
  const leave = changes.follow(['trading', 'state'], () => told.push('trading'))
  changes.announce('trading')
  changes.announce('trading', 'state')
  context.mock.timers.tick(0)
  assert.deepEqual(told, ['trading'])
  changes.announce('trading')
  context.mock.timers.tick(2_999)
  assert.equal(told.length, 1)
  context.mock.timers.tick(1)
  assert.equal(told.length, 2)
  leave()
  changes.announce('trading')
  context.mock.timers.tick(3_000)
  assert.equal(told.length, 2)
})

test('a pinned day stands behind the steps that came before it', () => {
  const step = (id: string, at: string | null) => ({ id, at }) as TimelineStep
  const pinned = (day: string, at: string | null) => ({ day, pinned_at: at }) as DiscussionSnapshot
  const steps = [
    step('proposed', '2026-11-29T10:00:00Z'),
    step('approved', null),
    step('final', '2026-12-01T10:00:00Z'),
  ]
  const snapshots = [
    pinned('2026-12-01', '2026-12-02T00:01:00Z'),
    pinned('2026-11-30', '2026-12-01T00:01:00Z'),
    pinned('2026-12-02', null),
  ]
  const order = timelineOf(steps, snapshots).map((one) => (one.is === 'step' ? one.step.id : one.snapshot.day))
  assert.deepEqual(order, ['proposed', 'approved', '2026-11-30', 'final', '2026-12-01'])
})
