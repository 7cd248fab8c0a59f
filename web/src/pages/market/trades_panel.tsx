import type { Trade } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { decimal, percent, sol } from '../../format/amounts.ts'
import { transactionLink } from '../../links/explorer.ts'
import { freshSeconds, type MarketPanelProps } from './reading.ts'
import type { Prices } from './price_panel.tsx'

const ROWS = 12

interface TradesPanelProps extends MarketPanelProps {
  readonly prices: Resource<Prices>
}

/** The newest trades. */
export function TradesPanel({ prices, market, network }: TradesPanelProps) {
  return (
    <ReadPanel title="Newest trades" class="two-thirds" resource={prices} freshFor={freshSeconds()}>
      {({ trades }) => (
        <DataTable<Trade>
          caption={`The newest of ${market.trades_count} trades`}
          rows={trades.slice(0, ROWS)}
          rowKey={(trade) => trade.id}
          empty="No trade yet."
          columns={[
            { title: 'When', cell: (trade) => trade.block_time && <Time at={trade.block_time} short /> },
            { title: 'Wallet', cell: (trade) => <WalletName of={trade.user_wallet} /> },
            { title: 'Trade', cell: (trade) => <Side trade={trade} /> },
            { title: 'Shares', numeric: true, cell: (trade) => decimal(trade.exact.shares) },
            { title: 'Paid or received', numeric: true, cell: (trade) => sol(trade.exact.cost) },
            { title: 'Price after', numeric: true, cell: (trade) => percent(trade.price_yes) },
            {
              title: 'Transaction',
              wideOnly: true,
              cell: (trade) => <TransactionName of={trade.tx_signature} network={network} />,
            },
          ]}
        />
      )}
    </ReadPanel>
  )
}

function Side({ trade }: { trade: Trade }) {
  return (
    <span class={trade.outcome ? 'yes' : 'no'}>
      {trade.trade_type} {trade.outcome_label}
    </span>
  )
}

function WalletName({ of }: { of: string }) {
  return <Name of={of} href={`/app/wallets/${of}`} />
}

function TransactionName({ of, network }: { of: string; network: MarketPanelProps['network'] }) {
  const href = transactionLink(of, network)
  return <Name of={of} {...(href && { href })} />
}
