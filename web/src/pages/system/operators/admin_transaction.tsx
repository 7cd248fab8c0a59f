import type { PreparedTransaction, Wallet } from '@zmart/client'
import { useState } from 'preact/hooks'
import { ActButton } from '../../../components/act_button.tsx'
import { AskDialog } from '../../../components/ask_dialog.tsx'
import { Name } from '../../../components/name.tsx'
import { Status } from '../../../components/status.tsx'
import { api } from '../../../data/api.ts'
import { browserWallets, connected } from '../../../data/browser_wallets.ts'
import { useNetwork } from '../../../data/network.ts'
import { transactionLink } from '../../../links/explorer.ts'

const ACTS = {
  approve: 'Approve a proposal',
  cancel: 'Cancel a market',
  pause: 'Pause the protocol',
  resume: 'End the pause of the protocol',
} as const

type Act = keyof typeof ACTS

/** A transaction that waits for the wallet's signature. */
interface Unsigned {
  readonly wallet: Wallet
  readonly prepared: PreparedTransaction
}

/** What only the admin's wallet may do: the API prepares it, the wallet signs it, the API relays it. */
export function AdminTransaction() {
  const [unsigned, setUnsigned] = useState<Unsigned>()
  const [landed, setLanded] = useState<string>()
  const wallets = browserWallets.value
  return (
    <>
      <ActButton
        label="Admin’s transaction …"
        title="Prepare a transaction of the admin"
        submit="Prepare"
        act={async (client, { act, market, wallet: name, reason = '' }) => {
          const found = wallets.find((one) => one.name === name)
          if (found === undefined) throw new Error('No wallet of this browser was chosen.')
          const wallet = await connected(found)
          const body = { ...request(act as Act, market ?? '', wallet.address), reason }
          setUnsigned({ wallet, prepared: await client.post('/api/admin/transactions', { body }) })
        }}
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
        {wallets.length === 0 ? (
          <p>
            <Status level="warning">No wallet of this browser follows the Wallet Standard</Status>
          </p>
        ) : (
          <label>
            The admin’s wallet
            <select name="wallet">
              {wallets.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <p class="quiet small">The program accepts it from the admin’s wallet alone.</p>
      </ActButton>
      {landed !== undefined && <Landed signature={landed} />}
      {unsigned !== undefined && (
        <AskDialog
          title="Sign this transaction?"
          submit="Sign and send"
          onSubmit={async () => {
            // Relayed without the operator's key, which permits no transactions.
            const { signature } = await api.submit(unsigned.wallet, unsigned.prepared.transaction)
            setLanded(signature)
          }}
          onClose={() => setUnsigned(undefined)}
        >
          <ul class="effects">
            {unsigned.prepared.effects.summary.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </AskDialog>
      )}
    </>
  )
}

function Landed({ signature }: { signature: string }) {
  const href = transactionLink(signature, useNetwork().data)
  return (
    <span class="small" role="status">
      <Status level="ok">landed</Status> <Name of={signature} {...(href && { href })} />
    </span>
  )
}

function request(act: Act, market: string, wallet: string) {
  switch (act) {
    case 'pause':
    case 'resume':
      return { act: 'pause', arguments: { wallet, paused: act === 'pause' } } as const
    default:
      return { act, arguments: { wallet, market_id: market } } as const
  }
}
