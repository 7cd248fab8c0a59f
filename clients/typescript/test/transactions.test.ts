import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TransactionFailed, ZmartClient } from '../src/index.ts'
import { type Scripted, ScriptedServer } from './scripted_server.ts'

const WALLET = {
  address: 'a',
  signMessage: async (message: Uint8Array) => message,
  signTransaction: async (transaction: Uint8Array) => Uint8Array.of(...transaction, 255),
}

function relayed(state: string, error: object | null = null): object {
  return { signature: 's', state, error }
}

function detail(state: string, confirmed_at: string | null, error: object | null = null): Scripted {
  const body = { signature: 's', confirmed_at, failed: null, relayed: relayed(state, error) }
  return { status: 200, body }
}

test('a signed transaction is handed in, and its effects are awaited', async () => {
  const stored = { status: 201, body: relayed('stored') }
  // The relay may know of the landing before the ledger has read the transaction.
  const answers = [stored, detail('confirmed', null), detail('confirmed', 'now')]
  await using server = new ScriptedServer((_, number) => answers[number - 1] ?? stored)
  const client = new ZmartClient({ url: await server.start() })
  const landed = await client.submit(WALLET, Buffer.of(1, 2).toString('base64'))
  assert.equal(landed.confirmed_at, 'now')
  assert.deepEqual(JSON.parse(server.received[0]?.body ?? ''), {
    transaction: Buffer.of(1, 2, 255).toString('base64'),
  })
  assert.deepEqual(
    server.received.map((one) => one.url),
    ['/api/transactions', '/api/transactions/s', '/api/transactions/s'],
  )
})

test('a transaction without effect is an error that names the reason', async () => {
  for (const [state, error, reason] of [
    ['expired', null, 'expired'],
    ['failed', { name: 'TradeTooSmall' }, 'TradeTooSmall'],
  ] as const) {
    await using server = new ScriptedServer((_, number) =>
      number === 1 ? { status: 201, body: relayed('stored') } : detail(state, 'now', error),
    )
    const client = new ZmartClient({ url: await server.start() })
    await assert.rejects(client.submit(WALLET, ''), (failure) => {
      assert(failure instanceof TransactionFailed)
      return failure.reason === reason
    })
  }
})
