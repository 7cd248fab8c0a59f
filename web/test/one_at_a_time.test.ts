import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneAtATime } from '../src/data/one_at_a_time.ts'

/** Work that stays pending until the test resolves it. */
function pendingWork() {
  const waiting: Array<() => void> = []
  let begun = 0
  const work = () => {
    begun += 1
    return new Promise<void>((resolve) => waiting.push(resolve))
  }
  const end = async () => {
    waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { work, end, begun: () => begun }
}

test('a call during a run is followed by one more run, however many calls there were', async () => {
  const { work, end, begun } = pendingWork()
  const call = oneAtATime(work)
  let isDone = false
  void call()
  assert.equal(begun(), 1)
  void call()
  void call().then(() => {
    isDone = true
  })
  assert.equal(begun(), 1)
  await end()
  assert.equal(begun(), 2)
  assert.equal(isDone, false)
  await end()
  assert.equal(begun(), 2)
  assert.equal(isDone, true)
})

test('calls one after the other run one after the other', async () => {
  const { work, end, begun } = pendingWork()
  const call = oneAtATime(work)
  for (const run of [1, 2, 3]) {
    const done = call()
    assert.equal(begun(), run)
    await end()
    await done
  }
})

test('a run that fails does not end those that follow', async () => {
  let runs = 0
  const call = oneAtATime(async () => {
    runs += 1
    if (runs === 1) throw new Error('away')
  })
  await assert.rejects(call(), /away/)
  await call()
  assert.equal(runs, 2)
})
