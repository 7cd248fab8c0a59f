import type { UserPosition } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { api } from '../../data/api.ts'
import { decimal, sol } from '../../format/amounts.ts'
import { FRESH_SECONDS, useWalletPart, type WalletPanelProps } from './reading.ts'

const ROWS = 50

/** What the wallet holds, what it cost and what it is worth. */
export function PositionsPanel({ wallet }: WalletPanelProps) {
  const positions = useWalletPart(wallet, 'positions', () =>
    api.reading('/api/users/{wallet}/positions', {
      params: { path: { wallet }, query: { limit: ROWS } },
    }),
  )
  return (
    <ReadPanel title="Positions" resource={positions} freshFor={FRESH_SECONDS}>
      {(found) => (
        <DataTable<UserPosition>
          caption="Positions, by last trade"
          rows={found}
          rowKey={(position) => position.market_id}
          empty="This wallet has never traded."
          columns={[
            {
              title: 'Market',
              cell: (position) => <a href={`/app/markets/${position.market_id}`}>{position.question}</a>,
            },
            { title: 'Status', cell: (position) => position.status },
            { title: 'YES', numeric: true, cell: (position) => decimal(position.shares_yes) },
            { title: 'NO', numeric: true, cell: (position) => decimal(position.shares_no) },
            { title: 'Paid in', numeric: true, cell: (position) => sol(position.total_invested) },
            { title: 'Worth', numeric: true, cell: (position) => sol(position.current_value) },
            { title: 'Result', numeric: true, cell: (position) => <Result position={position} /> },
          ]}
        />
      )}
    </ReadPanel>
  )
}

function Result({ position }: { position: UserPosition }) {
  const result = BigInt(position.realised_pnl) + BigInt(position.unrealised_pnl)
  return (
    <span class={result < 0n ? 'no' : 'yes'}>
      {result > 0n && '+'}
      {sol(result)}
    </span>
  )
}
