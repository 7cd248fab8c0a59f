import { useState } from 'preact/hooks'
import { AskDialog } from '../../../components/ask_dialog.tsx'
import { identity } from '../../../data/identity.ts'

const ACTS = {
  approve: 'Approve a proposal',
  cancel: 'Cancel a market',
  pause: 'Pause the protocol',
  resume: 'Resume the protocol',
} as const

type Act = keyof typeof ACTS

/** What only the admin's wallet may do: the API prepares the transaction, the wallet signs it. */
export function AdminTransaction() {
  const [isOpen, setOpen] = useState(false)
  const [landed, setLanded] = useState<string>()
  // A key signs nothing; only a wallet that is connected does.
  if (identity.value?.wallet === undefined) return null

  const send = async (fields: Readonly<Record<string, string>>) => {
    const { client, wallet } = identity.value ?? {}
    if (client === undefined || wallet === undefined) throw new Error('Connect the wallet again.')
    const prepared = await prepare(fields['act'] as Act, fields['market'] ?? '', wallet.address)
    const { signature } = await client.submit(wallet, prepared)
    setLanded(signature)
  }

  return (
    <>
      <button type="button" class="small" onClick={() => setOpen(true)}>
        Admin’s transaction …
      </button>
      {landed !== undefined && (
        <span class="small" role="status">
          landed: <code>{landed.slice(0, 8)}…</code>
        </span>
      )}
      {isOpen && (
        <AskDialog
          title="A transaction of the admin"
          submit="Sign and send"
          onSubmit={send}
          onClose={() => setOpen(false)}
        >
          <label>
            Act
            <select name="act">
              {Object.entries(ACTS).map(([act, title]) => (
                <option key={act} value={act}>
                  {title}
                </option>
              ))}
            </select>
          </label>
          <label>
            Market, to approve or to cancel (64 hex digits)
            <input name="market" pattern="[0-9a-f]{64}" />
          </label>
          <p class="quiet small">The program accepts it from the admin’s wallet alone.</p>
        </AskDialog>
      )}
    </>
  )
}

async function prepare(act: Act, market: string, wallet: string): Promise<string> {
  const client = identity.value?.client
  if (client === undefined) throw new Error('Sign in again.')
  if (act === 'pause' || act === 'resume') {
    const body = { wallet, paused: act === 'pause' }
    return (await client.post('/api/transactions/prepare/pause', { body })).transaction
  }
  const body = { wallet, market_id: market }
  if (act === 'approve') {
    return (await client.post('/api/transactions/prepare/approve', { body })).transaction
  }
  return (await client.post('/api/transactions/prepare/cancel', { body })).transaction
}
