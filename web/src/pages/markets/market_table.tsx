import type { Market, Update } from '@zmart/client'
import { useEffect, useState } from 'preact/hooks'
import { type Column, DataTable } from '../../components/data_table.tsx'
import { MarketStateSign } from '../../components/market_state.tsx'
import { Sparkline } from '../../components/sparkline.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { useChannel } from '../../data/live.ts'
import { useResource } from '../../data/resource.ts'
import { percent, sol } from '../../format/amounts.ts'

const LINE_SECONDS = 20

/** A page of markets. Rows change as the chain does, in place: their order is that of the page. */
export function MarketTable({ markets }: { markets: readonly Market[] }) {
  if (markets.length === 0) return <p class="quiet">No market fits. Take a filter away.</p>
  return <LiveTable markets={markets} />
}

function LiveTable({ markets }: { markets: readonly Market[] }) {
  const rows = useLiveRows(markets)
  const lines = usePriceLines(markets)
  return (
    <DataTable
      caption="Markets"
      rows={rows}
      rowKey={(market) => market.id}
      empty=""
      columns={columns(lines)}
    />
  )
}

function columns(lines: ReadonlyMap<string, readonly number[]>): readonly Column<Market>[] {
  return [
    {
      title: 'Question',
      cell: (market) => (
        <>
          <a class="question" href={`/app/markets/${market.id}`}>
            {market.question}
          </a>
          {market.category !== null && <span class="tag">{market.category}</span>}
        </>
      ),
    },
    {
      title: 'State',
      cell: (market) => (
        <>
          <MarketStateSign state={market.state} />
          {market.commitment !== 'finalized' && <span class="quiet block">{market.commitment}</span>}
        </>
      ),
    },
    { title: 'YES', numeric: true, cell: (market) => <strong>{percent(market.price_yes)}</strong> },
    {
      title: 'Last trades',
      wideOnly: true,
      cell: (market) => (
        <Sparkline label={`Price of YES over the last trades`} values={lines.get(market.id) ?? []} />
      ),
    },
    { title: 'Volume', numeric: true, cell: (market) => sol(market.exact.total_volume, 3) },
    {
      title: 'Liquidity',
      numeric: true,
      wideOnly: true,
      cell: (market) => sol(market.exact.current_liquidity, 3),
    },
    { title: 'Waits for', wideOnly: true, cell: (market) => <WaitsFor market={market} /> },
  ]
}

/** What has to happen next, and when. */
function WaitsFor({ market }: { market: Market }) {
  const { state, ends_at: end, final_outcome: outcome } = market
  if (state === 'FINALIZED') {
    if (outcome === null) return <>no outcome</>
    return (
      <>
        outcome <strong>{outcome ? 'YES' : 'NO'}</strong>
      </>
    )
  }
  if (state === 'ACTIVE' && end !== null) {
    return (
      <>
        its end <Time at={end} short />
      </>
    )
  }
  return <>{WAITS[state]}</>
}

const WAITS: Readonly<Record<Market['state'], string>> = {
  PROPOSED: 'votes on the proposal',
  APPROVED: 'its activation',
  ACTIVE: 'its resolver',
  RESOLVING: 'the end of the dispute window',
  DISPUTED: 'votes on the dispute',
  FINALIZED: '–',
  CANCELLED: 'nothing',
}

/** The rows of a page with what frames have changed since it was read. */
function useLiveRows(markets: readonly Market[]): readonly Market[] {
  const [rows, setRows] = useState(markets)
  useEffect(() => setRows(markets), [markets])
  useChannel('markets', (update) => setRows((before) => withUpdate(before, update)))
  return rows
}

export function withUpdate(rows: readonly Market[], update: Update): readonly Market[] {
  if (update.kind !== 'frame' || update.type !== 'market_state') return rows
  const { market } = update.data
  if (market === null || market === undefined) return rows
  return rows.map((row) =>
    row.id === market.id && market.as_of_slot >= row.as_of_slot ? { ...row, ...market } : row,
  )
}

function usePriceLines(markets: readonly Market[]): ReadonlyMap<string, readonly number[]> {
  const ids = markets.map(({ id }) => id)
  const query = { market: ids }
  const { state } = useResource(
    ids.join(),
    () => api.reading('/api/markets/price-lines', { params: { query } }),
    LINE_SECONDS,
  )
  const lines = state.value.data?.lines ?? []
  return new Map(lines.map((line) => [line.market_id, line.price_yes]))
}
