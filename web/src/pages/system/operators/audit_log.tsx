import type { AuditEntry } from '@zmart/client'
import { useEffect } from 'preact/hooks'
import { type Column, DataTable } from '../../../components/data_table.tsx'
import { ordersSent } from '../../../components/order_button.tsx'
import { ReadPanel } from '../../../components/panel.tsx'
import { Time } from '../../../components/time.tsx'
import { identity } from '../../../data/identity.ts'
import { useResource } from '../../../data/resource.ts'
import { shortened, titled } from '../../../format/names.ts'

const SECONDS = 10
const SHOWN = 8

/** Who did what as an operator, and why? Shown to operators alone. */
export function AuditLog() {
  const query = { limit: SHOWN }
  const { state, refresh } = useResource(
    `audit log for ${identity.value?.name}`,
    () => {
      const client = identity.value?.client
      if (client === undefined) throw new Error('Sign in again.')
      return client.reading('/api/audit', { params: { query } })
    },
    SECONDS,
  )
  useEffect(() => void refresh(), [ordersSent.value])
  return (
    <ReadPanel
      class="half"
      title="Audit log"
      hint="Every act of an operator, with its reason."
      resource={state.value}
      freshFor={4 * SECONDS}
    >
      {({ entries }) => (
        <DataTable
          caption="Acts of operators, newest first"
          columns={COLUMNS}
          rows={entries}
          rowKey={(row) => row.id}
          empty="No operator has acted yet."
        />
      )}
    </ReadPanel>
  )
}

const COLUMNS: readonly Column<AuditEntry>[] = [
  {
    title: 'Act',
    cell: (row) => (
      <>
        <strong>{titled(row.action)}</strong> {row.subject !== null && shortened(row.subject, 8)}
        <span class="quiet block">{row.reason}</span>
      </>
    ),
  },
  {
    title: 'By',
    cell: (row) =>
      row.wallet !== null ? shortened(row.wallet) : (row.service ?? row.os_user ?? row.dagster_user),
  },
  { title: 'When', cell: (row) => <Time at={row.recorded_at} short /> },
]
