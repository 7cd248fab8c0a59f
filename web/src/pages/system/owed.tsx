import type { OwedTransaction, OwedWork, ServiceHealthList } from '@zmart/client'
import { DataTable } from '../../components/data_table.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { type Level, Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { spaced, titled } from '../../format/names.ts'
import { causeOf, labelOf, levelOf, measured } from './health_words.ts'

const MEASURES = ['due_decision_seconds', 'open_intent_seconds', 'relayed_transaction_seconds', 'delivery_seconds']
const STAGES: Readonly<Record<OwedTransaction['stage'], readonly [Level, string]>> = {
  due: ['warning', 'due, not decided yet'],
  planned: ['info', 'decided, not signed'],
  live: ['info', 'signed, not final'],
}
/** Seconds after which what is owed is marked as stale. */
export const OWED_FRESH_SECONDS = 15

interface OwedProps {
  readonly owed: Resource<OwedWork>
  readonly health: Resource<ServiceHealthList>
}

/** What is owed to the chain now, market by market, and how late is the oldest of each kind? */
export function Owed({ owed, health }: OwedProps) {
  return (
    <ReadPanel
      class="half"
      title="Owed now"
      hint="Transactions that must come to the chain, and the oldest work of each kind."
      resource={owed}
      freshFor={OWED_FRESH_SECONDS}
    >
      {(work) => (
        <>
          <OwedList work={work} />
          {health.data !== undefined && <Ages health={health.data} />}
        </>
      )}
    </ReadPanel>
  )
}

function OwedList({ work }: { work: OwedWork }) {
  const more = work.owed_count - work.owed.length
  return (
    <>
      <DataTable
        caption="Transactions owed to the chain, the oldest first"
        rows={work.owed}
        rowKey={(row) => `${row.market_id} ${row.action}`}
        empty={<Status level="ok">Nothing is owed to the chain</Status>}
        columns={[
          {
            title: 'Transaction',
            cell: (row) => (
              <>
                <strong>{titled(row.action)}</strong>
                <a class="row-market" href={`/app/markets/${row.market_id}`}>
                  {row.question}
                </a>
              </>
            ),
          },
          {
            title: 'Stage',
            cell: (row) => (
              <>
                <Status level={STAGES[row.stage][0]}>{STAGES[row.stage][1]}</Status>
                {row.reason !== null && <span class="quiet block">{row.reason}</span>}
              </>
            ),
          },
          { title: 'Since', cell: (row) => <Time at={row.since} short /> },
        ]}
      />
      {more > 0 && <p class="quiet small">and {grouped(more)} more</p>}
    </>
  )
}

/** Work that waits; a kind of which nothing waits has no row. */
function Ages({ health }: { health: ServiceHealthList }) {
  return (
    <DataTable
      caption="Oldest unfinished work of each kind"
      rows={health.services.flatMap(({ service, quantities }) =>
        quantities
          .filter(({ name, value }) => MEASURES.includes(name) && (value === null || value > 0))
          .map((quantity) => ({ service, quantity })),
      )}
      rowKey={({ service, quantity }) => `${service} ${quantity.name}`}
      empty={<Status level="ok">No decision, submission, webhook or relayed transaction waits</Status>}
      columns={[
        {
          title: 'Work',
          cell: ({ service, quantity }) => (
            <>
              {labelOf(quantity)}
              <span class="quiet block">{causeOf(quantity) ?? spaced(service)}</span>
            </>
          ),
        },
        {
          title: 'Age',
          cell: ({ quantity }) => (
            <Status level={levelOf(quantity.status)}>{measured(quantity)}</Status>
          ),
        },
        {
          title: 'Late',
          cell: ({ quantity }) =>
            quantity.since === null ? (
              <span class="quiet">after {quantity.degraded} s</span>
            ) : (
              <Time at={Date.parse(quantity.since) + quantity.degraded * 1000} short />
            ),
        },
      ]}
    />
  )
}
