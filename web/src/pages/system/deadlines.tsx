import type { ComingDeadline, OwedWork } from '@zmart/client'
import { type Column, DataTable } from '../../components/data_table.tsx'
import { MarketStateSign } from '../../components/market_state.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import type { Resource } from '../../data/resource.ts'
import { duration, utc } from '../../format/times.ts'
import { OWED_FRESH_SECONDS } from './owed.tsx'

const NEXT: Readonly<Record<string, string>> = {
  ACTIVE: 'the market ends, and is to be resolved',
  RESOLVING: 'the dispute window ends; the pipelines finalize',
  DISPUTED: 'the dispute vote ends; the pipelines finalize',
}

/** Which markets go on next, and when? */
export function Deadlines({ owed }: { owed: Resource<OwedWork> }) {
  return (
    <ReadPanel
      class="half"
      title="Next deadlines"
      hint="By the chain’s clock, the next first."
      resource={owed}
      freshFor={OWED_FRESH_SECONDS}
    >
      {({ deadlines }) => (
        <DataTable
          caption="Next deadlines of markets"
          columns={COLUMNS}
          rows={deadlines}
          rowKey={(row) => row.market_id}
          empty="No market has a deadline."
        />
      )}
    </ReadPanel>
  )
}

const COLUMNS: readonly Column<ComingDeadline>[] = [
  {
    title: 'Market',
    cell: (row) => (
      <>
        <a class="row-market" href={`/app/markets/${row.market_id}`}>
          {row.question}
        </a>
        <MarketStateSign state={row.state} />
      </>
    ),
  },
  { title: 'Then', wideOnly: true, cell: (row) => <span class="quiet">{NEXT[row.state]}</span> },
  {
    title: 'When',
    cell: (row) => (
      <>
        {row.seconds_left > 0 ? (
          `in ${duration(row.seconds_left)}`
        ) : (
          <Status level="warning">passed {duration(-row.seconds_left)} ago</Status>
        )}
        {row.at !== null && <span class="quiet block small nowrap">{utc(row.at)}</span>}
      </>
    ),
  },
]
