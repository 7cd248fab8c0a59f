import type { FailedDelivery } from '@zmart/client'
import { useEffect } from 'preact/hooks'
import { type Column, DataTable } from '../../../components/data_table.tsx'
import { OrderButton, ordersSent } from '../../../components/order_button.tsx'
import { ReadPanel } from '../../../components/panel.tsx'
import { Time } from '../../../components/time.tsx'
import { identity } from '../../../data/identity.ts'
import { useResource } from '../../../data/resource.ts'

const SECONDS = 10

/** Which webhook deliveries could not be ingested, and why? Shown to operators alone. */
export function FailedDeliveries() {
  const { state, refresh } = useResource(
    `failed deliveries for ${identity.value?.name}`,
    () => {
      const client = identity.value?.client
      if (client === undefined) throw new Error('Sign in again.')
      return client.reading('/api/deliveries/failed')
    },
    SECONDS,
  )
  useEffect(() => void refresh(), [ordersSent.value])
  return (
    <ReadPanel
      class="half"
      title="Failed webhook deliveries"
      hint="Nothing is missing because of one: polls read its transactions."
      resource={state.value}
      freshFor={4 * SECONDS}
    >
      {({ deliveries }) => (
        <DataTable
          caption="Failed deliveries, newest first"
          columns={COLUMNS}
          rows={deliveries}
          rowKey={(row) => row.id}
          empty="No delivery failed."
        />
      )}
    </ReadPanel>
  )
}

const COLUMNS: readonly Column<FailedDelivery>[] = [
  {
    title: 'Delivery',
    cell: (row) => (
      <>
        <strong>{row.id}</strong>
        <span class="quiet block">
          {row.transaction_count} transactions, <Time at={row.received_at} short />
        </span>
      </>
    ),
  },
  { title: 'Why', cell: (row) => row.error ?? 'unknown' },
  { title: 'Tries', numeric: true, cell: (row) => row.attempts },
  {
    title: 'Order',
    cell: (row) => (
      <OrderButton
        label="Ingest again …"
        title={`Ingest delivery ${row.id} again`}
        kind="redeliver"
        parameters={() => ({ delivery: row.id })}
      />
    ),
  },
]
