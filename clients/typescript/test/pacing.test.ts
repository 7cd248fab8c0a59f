import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backoff } from '../src/live/backoff.ts'
import { Pace } from '../src/live/pace.ts'

test('waits are random below a bound that doubles, until a connection works', () => {
  const backoff = new Backoff(1, 8, () => 0.5)
  assert.deepEqual(Array.from({ length: 6 }, () => backoff.next()), [0.5, 1, 2, 4, 4, 4])
  backoff.succeeded()
  assert.equal(backoff.next(), 0.5)
  assert.equal(new Backoff(1, 8, () => 0).next(), 0)
})

test('where the server has too many connections, the wait is long', () => {
  assert.equal(new Backoff(1, 30, () => 0).long(), 15)
  assert.equal(new Backoff(1, 30, () => 1).long(), 30)
})

test('messages above the limit wait until a minute has passed', () => {
  const pace = new Pace(3)
  assert.deepEqual([0, 10, 20].map((now) => pace.wait(now)), [0, 0, 0])
  assert.equal(pace.wait(30), 59_970)
  assert.equal(pace.wait(40), 59_970)
  assert.equal(pace.wait(200_000), 0)
})
