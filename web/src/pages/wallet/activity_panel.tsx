import type { Event } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { shortened } from '../../format/names.ts'
import { transactionLink } from '../../links/explorer.ts'
import { FRESH_SECONDS, useWalletPart, type WalletPanelProps } from './reading.ts'

const ROWS = 20

/** What the wallet's transactions did. */
export function ActivityPanel({ wallet, network }: WalletPanelProps) {
  const events = useWalletPart(wallet, 'events', () =>
    api.reading('/api/users/{wallet}/events', {
      params: { path: { wallet }, query: { limit: ROWS } },
    }),
  )
  return (
    <ReadPanel title="Transactions" class="half" resource={events} freshFor={FRESH_SECONDS}>
      {(found) => (
        <DataTable<Event>
          caption="What the wallet's newest transactions did"
          rows={found.events}
          rowKey={(event) => event.id}
          empty="This wallet has sent no transaction to the program."
          columns={[
            { title: 'When', cell: (event) => event.block_time && <Time at={event.block_time} short /> },
            { title: 'What', cell: (event) => inWords(event.type) },
            {
              title: 'Market',
              cell: ({ market_id: id }) =>
                id !== null && <a href={`/app/markets/${id}`}>{shortened(id)}</a>,
            },
            {
              title: 'Transaction',
              cell: ({ signature }) => {
                const href = transactionLink(signature, network)
                return <Name of={signature} {...(href && { href })} />
              },
            },
            { title: 'Status', wideOnly: true, cell: (event) => event.commitment },
          ]}
        />
      )}
    </ReadPanel>
  )
}

/** `SharesBought` as `Shares bought`. */
function inWords(type: string | null): string {
  if (type === null) return 'unreadable event'
  const words = type.replace(/(?<=.)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  return words
}
