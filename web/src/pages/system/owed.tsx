import type { ServiceHealthList } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { labelOf, levelOf, measured } from './health_words.ts'
import { HEALTH_FRESH_SECONDS } from './verdict.tsx'

const OWED = ['due_decision_seconds', 'open_intent_seconds', 'relayed_transaction_seconds', 'delivery_seconds']

/** What is owed now, since when, and when is it too late? */
export function Owed({ health }: { health: Resource<ServiceHealthList> }) {
  return (
    <ReadPanel
      class="half"
      title="Owed now"
      hint="The oldest work of each kind that is not finished, and when it counts as late."
      resource={health}
      freshFor={HEALTH_FRESH_SECONDS}
    >
      {({ services }) => (
        <DataTable
          caption="Oldest unfinished work of each kind"
          rows={services.flatMap(({ service, quantities }) =>
            quantities
              .filter(({ name }) => OWED.includes(name))
              .map((quantity) => ({ service, quantity })),
          )}
          rowKey={({ service, quantity }) => `${service} ${quantity.name}`}
          empty="Nothing is measured yet."
          columns={[
            {
              title: 'Work',
              cell: ({ service, quantity }) => (
                <>
                  {labelOf(quantity)}
                  <span class="quiet block">{quantity.cause ?? service}</span>
                </>
              ),
            },
            {
              title: 'Age',
              cell: ({ quantity }) => (
                <Status level={levelOf(quantity.status)}>
                  {quantity.value ? measured(quantity) : 'none'}
                </Status>
              ),
            },
            {
              title: 'Late',
              cell: ({ quantity }) =>
                quantity.since === null || !quantity.value ? (
                  <span class="quiet">after {quantity.degraded} s</span>
                ) : (
                  <Time at={Date.parse(quantity.since) + quantity.degraded * 1000} short />
                ),
            },
          ]}
        />
      )}
    </ReadPanel>
  )
}
