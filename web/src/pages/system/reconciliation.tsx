import type { Reconciliation as Comparison, ReconciliationList } from '@zmart/client'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { useResource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { utc } from '../../format/times.ts'

const SECONDS = 20
const SHOWN = 48

/** Does the ledger agree with the chain's accounts? */
export function Reconciliation() {
  const query = { limit: SHOWN }
  const { state } = useResource(
    'reconciliation',
    () => api.reading('/api/reconciliation', { params: { query } }),
    SECONDS,
  )
  return (
    <ReadPanel
      class="half"
      title="Reconciliation"
      hint="Every account of the chain against the ledger, every ten minutes."
      resource={state.value}
      freshFor={3 * SECONDS}
    >
      {(list) => <History list={list} />}
    </ReadPanel>
  )
}

function History({ list }: { list: ReconciliationList }) {
  const [newest] = list.reconciliations
  if (newest === undefined) return <p class="quiet">There was no comparison yet.</p>
  return (
    <>
      <p>
        {list.status === 'agrees' ? (
          <Status level="ok">The ledger agrees with the chain</Status>
        ) : (
          <Status level="bad">The ledger differs from the chain</Status>
        )}
      </p>
      <ol class="comparisons" aria-label={`The last ${list.count} comparisons, oldest first`}>
        {list.reconciliations.toReversed().map((one) => (
          <Tick key={one.id} comparison={one} />
        ))}
      </ol>
      <p class="small">
        Last: {grouped(newest.markets)} markets and {grouped(newest.positions)} positions at slot{' '}
        {grouped(newest.market_slot)}, <Time at={newest.reconciled_at} short />
      </p>
    </>
  )
}

function Tick({ comparison }: { comparison: Comparison }) {
  const { missing_event: missing = 0, decode_error: undecoded = 0, drift = 0 } = comparison.differences
  const lasting = missing + undecoded + drift
  const text = `${utc(comparison.reconciled_at)}: ${lasting === 0 ? 'no lasting difference' : `${lasting} differences`}`
  return (
    <li class={lasting === 0 ? 'tick' : 'tick differs'} title={text}>
      <span class="visually-hidden">{text}</span>
    </li>
  )
}
