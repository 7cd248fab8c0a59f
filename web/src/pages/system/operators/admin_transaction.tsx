import type { NewAdminTransaction, PreparedTransaction, ProtocolParameters, Wallet } from '@zmart/client'
import { useState } from 'preact/hooks'
import { ActButton } from '../../../components/act_button.tsx'
import { AskDialog } from '../../../components/ask_dialog.tsx'
import { Name } from '../../../components/name.tsx'
import { Status } from '../../../components/status.tsx'
import { api } from '../../../data/api.ts'
import { browserWallets, connected } from '../../../data/browser_wallets.ts'
import { useNetwork } from '../../../data/network.ts'
import { useResource } from '../../../data/resource.ts'
import { transactionLink } from '../../../links/explorer.ts'
import { changesOf } from './configuration_changes.ts'
import { ConfigurationFields } from './configuration_fields.tsx'

const ACTS = {
  approve: 'Approve a proposal',
  cancel: 'Cancel a market',
  pause: 'Pause the protocol',
  resume: 'End the pause of the protocol',
  configure: 'Change the protocol’s parameters',
} as const

type Act = keyof typeof ACTS

/** Seconds after which the protocol's parameters are read again. */
const SECONDS = 30

/** A transaction that waits for the wallet's signature. */
interface Unsigned {
  readonly wallet: Wallet
  readonly prepared: PreparedTransaction
}

/** What only the admin's wallet may do: the API prepares it, the wallet signs it, the API relays it. */
export function AdminTransaction() {
  const [unsigned, setUnsigned] = useState<Unsigned>()
  const [landed, setLanded] = useState<string>()
  const [act, setAct] = useState<Act>('approve')
  const { state: protocol } = useResource('protocol', () => api.reading('/api/protocol'), SECONDS)
  const wallets = browserWallets.value
  return (
    <>
      <ActButton
        label="Admin’s transaction …"
        title="Prepare a transaction of the admin"
        submit="Prepare"
        act={async (client, fields) => {
          const found = wallets.find((one) => one.name === fields['wallet'])
          if (found === undefined) throw new Error('No wallet of this browser was chosen.')
          const made = request(act, fields, protocol.value.data)
          const wallet = await connected(found)
          const body = {
            act: made.act,
            arguments: { wallet: wallet.address, ...made.arguments },
            reason: fields['reason'] ?? '',
          }
          setUnsigned({ wallet, prepared: await client.post('/api/admin/transactions', { body }) })
        }}
      >
        <label>
          Act
          <select name="act" value={act} onChange={(event) => setAct(event.currentTarget.value as Act)}>
            {Object.entries(ACTS).map(([one, title]) => (
              <option key={one} value={one}>
                {title}
              </option>
            ))}
          </select>
        </label>
        {(act === 'approve' || act === 'cancel') && (
          <label>
            Market (64 hex digits)
            <input name="market" required pattern="[0-9a-f]{64}" title="the market’s id: 64 hex digits" />
          </label>
        )}
        {act === 'configure' && <ConfigurationFields protocol={protocol.value} />}
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

type Request = Pick<NewAdminTransaction, 'act' | 'arguments'>

/** What the API is asked to prepare, without the wallet. */
function request(
  act: Act,
  fields: Readonly<Record<string, string>>,
  parameters: ProtocolParameters | undefined,
): Request {
  switch (act) {
    case 'pause':
    case 'resume':
      return { act: 'pause', arguments: { paused: act === 'pause' } }
    case 'configure':
      if (parameters === undefined) throw new Error('The values in force were not read.')
      return { act: 'update-config', arguments: changesOf(fields, parameters) }
    default:
      return { act, arguments: { market_id: fields['market'] ?? '' } }
  }
}
