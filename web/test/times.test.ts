import assert from 'node:assert/strict'
import { test } from 'node:test'
import { axisTime, duration, relative, utc, utcAndLocal } from '../src/format/times.ts'

test('durations have their two largest units', () => {
  assert.equal(duration(0.4), '0 s')
  assert.equal(duration(59), '59\u00a0s')
  assert.equal(duration(125), '2\u00a0min 5\u00a0s')
  assert.equal(duration(7_200), '2\u00a0h')
  assert.equal(duration(90_061), '1\u00a0d 1\u00a0h')
})

test('moments are relative to now', () => {
  const now = Date.parse('2026-11-30T22:00:00Z')
  assert.equal(relative('2026-11-30T21:55:00Z', now), '5\u00a0min ago')
  assert.equal(relative('2026-11-30T22:00:40Z', now), 'in 40\u00a0s')
  assert.equal(relative(now, now), 'now')
})

test('times are shown in UTC whatever the zone of the machine is', () => {
  assert.equal(utc('2026-11-30T22:00:00.500Z'), '2026-11-30 22:00:00 UTC')
})

test('local time stands beside UTC only where it differs', () => {
  const moment = '2026-11-30T22:00:00Z'
  const zone = process.env['TZ']
  try {
    process.env['TZ'] = 'UTC'
    assert.equal(utcAndLocal(moment), '2026-11-30 22:00:00 UTC')
    process.env['TZ'] = 'Asia/Tokyo'
    assert.match(utcAndLocal(moment), /^2026-11-30 22:00:00 UTC · /)
  } finally {
    process.env['TZ'] = zone
  }
})

test('no two times of an axis are the same text', () => {
  const day = 86_400
  const start = Date.parse('2026-11-30T00:00:00Z') / 1000
  for (const [span, step] of [
    [600, 60],
    [6 * 3_600, 3_600],
    [3 * day, day / 2],
    [7 * day, day / 4],
    [30 * day, 5 * day],
  ] as const) {
    const times = Array.from({ length: span / step }, (_, number) => start + number * step)
    const texts = times.map((time) => axisTime(time, span, step))
    assert.equal(new Set(texts).size, texts.length, texts.join(', '))
  }
})
