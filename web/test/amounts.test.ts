import assert from 'node:assert/strict'
import { test } from 'node:test'
import { basisPoints, decimal, grouped, percent, tenthsOfPercent } from '../src/format/amounts.ts'

test('amounts above 2^53 are exact', () => {
  assert.equal(decimal('9007199254740993123456789'), '9\u202f007\u202f199\u202f254\u202f740\u202f993.123456789')
  assert.equal(grouped('18446744073709551615'), '18\u202f446\u202f744\u202f073\u202f709\u202f551\u202f615')
})

test('trailing zeros are left out, and what is cut off is marked', () => {
  assert.equal(decimal(1_500_000_000), '1.5')
  assert.equal(decimal(2_000_000_000n), '2')
  assert.equal(decimal(1_234_567_891, 3), '1.234…')
  assert.equal(decimal(1_230_000_000, 2), '1.23')
  assert.equal(decimal(-1), '−0.000000001')
})

test('prices are rounded to tenths of a percent', () => {
  assert.equal(percent(523_499_999), '52.3 %')
  assert.equal(percent(523_500_000), '52.4 %')
  assert.equal(percent(1_000_000_000), '100.0 %')
})

test('basis points and shares', () => {
  assert.equal(basisPoints(6_667), '66.67 %')
  assert.equal(basisPoints(7_000), '70 %')
  assert.equal(tenthsOfPercent('1', '3'), 333)
  assert.equal(tenthsOfPercent(5, 0), 0)
})
