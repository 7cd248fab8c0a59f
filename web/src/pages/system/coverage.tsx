import type { LedgerCoverage } from '@zmart/client'
import { BackfillButton } from '../../components/operator_orders.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { api } from '../../data/api.ts'
import { useResource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { spaced } from '../../format/names.ts'

const SECONDS = 10

/** Has the ledger everything of the chain? */
export function Coverage() {
  const { state } = useResource('coverage', () => api.reading('/api/coverage'), SECONDS)
  return (
    <ReadPanel
      class="half"
      title="Coverage"
      hint="Slots for which the ledger was proved complete at finalized."
      resource={state.value}
      freshFor={3 * SECONDS}
    >
      {(coverage) => <Strip coverage={coverage} />}
    </ReadPanel>
  )
}

function Strip({ coverage }: { coverage: LedgerCoverage }) {
  const { first_slot: first, last_slot: last, uncovered, uncovered_intervals: holes } = coverage
  if (first === null || last === null) return <p class="quiet">Nothing is covered yet.</p>
  const size = last - first + 1
  const label = `Slots ${first} to ${last}, ${holes} holes`
  return (
    <>
      <p>
        {holes === 0 ? (
          <Status level="ok">No holes</Status>
        ) : (
          <Status level="bad">
            {holes} {holes === 1 ? 'hole' : 'holes'}
          </Status>
        )}{' '}
        in {grouped(coverage.covered_slots)} of {grouped(size)} slots
      </p>
      <svg class="strip" viewBox="0 0 1000 28" preserveAspectRatio="none" role="img" aria-label={label}>
        <rect class="strip-covered" width="1000" height="28" />
        {uncovered.map((hole) => (
          <rect
            key={hole.first_slot}
            class="strip-hole"
            x={((hole.first_slot - first) / size) * 1000}
            width={Math.max(3, (hole.slots / size) * 1000)}
            height="28"
          />
        ))}
      </svg>
      <p class="strip-ends quiet small">
        <span>slot {grouped(first)}</span>
        <span>finalized {grouped(last)}</span>
      </p>
      {uncovered.length > 0 && (
        <ul class="small">
          {uncovered.slice(0, 3).map((hole) => (
            <li key={hole.first_slot}>
              missing: slots {grouped(hole.first_slot)} to {grouped(hole.last_slot)} (
              {grouped(hole.slots)}){' '}
              <BackfillButton first={hole.first_slot} last={hole.last_slot} />
            </li>
          ))}
        </ul>
      )}
      <p class="small">
        {coverage.open_gaps === 0 ? (
          <Status level="ok">No transaction is incomplete</Status>
        ) : (
          <Status level="warning">
            {coverage.open_gaps} incomplete:{' '}
            {coverage.gaps_by_kind.map((gap) => `${gap.gaps} ${spaced(gap.kind)}`).join(', ')}
          </Status>
        )}
      </p>
    </>
  )
}
