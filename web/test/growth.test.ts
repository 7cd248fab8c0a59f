import assert from 'node:assert/strict'
import { test } from 'node:test'
import { size } from '../src/format/sizes.ts'
import { growthOf, spanOf } from '../src/pages/system/growth_figures.ts'

test('sizes have the largest unit of which there is one', () => {
  assert.equal(size(0), '0\u00a0B')
  assert.equal(size(1023), '1023\u00a0B')
  assert.equal(size(1536), '1.5\u00a0KiB')
  assert.equal(size(-3 * 1024 ** 3), '−3.0\u00a0GiB')
})

test('growth is from the first size that was measured to the last', () => {
  assert.equal(growthOf([null, 1024, null, 4096]), '+3.0\u00a0KiB')
  assert.equal(growthOf([4096, 1024]), '−3.0\u00a0KiB')
  assert.equal(growthOf([7, 7]), '0\u00a0B')
  assert.equal(growthOf([null]), '0\u00a0B')
})

test('the span is that of the times', () => {
  const times = ['2026-11-30T00:00:00Z', '2026-11-30T12:00:00Z', '2026-12-01T00:00:00Z']
  assert.equal(spanOf({ times, database: [], tables: [] }), 86_400)
})
