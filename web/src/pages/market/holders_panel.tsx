import type { Holder } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { api } from '../../data/api.ts'
import { decimal, sol } from '../../format/amounts.ts'
import { freshSeconds, type MarketPanelProps, useMarketPart } from './reading.ts'

const ROWS = 12

/** Who holds the most, and what it is worth. */
export function HoldersPanel(props: MarketPanelProps) {
  const holders = useMarketPart(props, 'holders', ['state', 'trading'], (market) =>
    api.reading('/api/markets/{market}/holders', {
      params: { path: { market }, query: { limit: ROWS } },
    }),
  )
  return (
    <ReadPanel title="Largest positions" class="two-thirds" resource={holders} freshFor={freshSeconds()}>
      {(found) => (
        <DataTable<Holder>
          caption="The largest positions, by what was paid in"
          rows={found.holders}
          rowKey={(holder) => holder.user_wallet}
          empty="No one has traded yet."
          columns={[
            {
              title: 'Wallet',
              cell: ({ user_wallet: wallet }) => <Name of={wallet} href={`/app/wallets/${wallet}`} />,
            },
            { title: 'YES', numeric: true, cell: ({ exact }) => decimal(exact.shares_yes) },
            { title: 'NO', numeric: true, cell: ({ exact }) => decimal(exact.shares_no) },
            { title: 'Paid in', numeric: true, cell: ({ exact }) => sol(exact.total_invested) },
            { title: 'Worth', numeric: true, cell: ({ exact }) => sol(exact.current_value) },
            { title: 'Status', cell: (holder) => (holder.has_claimed ? 'claimed' : holder.status) },
          ]}
        />
      )}
    </ReadPanel>
  )
}
