import type { OperatorOrder } from '@zmart/client'
import { useEffect } from 'preact/hooks'
import { type Column, DataTable } from '../../../components/data_table.tsx'
import { ordersSent } from '../../../components/order_button.tsx'
import { BackfillButton, ResolveButton } from '../../../components/operator_orders.tsx'
import { ReadPanel } from '../../../components/panel.tsx'
import { type Level, Status } from '../../../components/status.tsx'
import { Time } from '../../../components/time.tsx'
import { identity, isOperator } from '../../../data/identity.ts'
import { useResource } from '../../../data/resource.ts'
import { shortened, spaced, titled } from '../../../format/names.ts'
import { runLink } from '../../../links/dagster.ts'
import { useNetwork } from '../../../data/network.ts'
import { Link } from '../../../components/link.tsx'
import { AdminTransaction } from './admin_transaction.tsx'
import { AuditLog } from './audit_log.tsx'
import { FailedDeliveries } from './failed_deliveries.tsx'

const SECONDS = 5
const SHOWN = 10

/** What operators ordered, and what else they may order. Shown to operators alone. */
export function OperatorsPanel() {
  if (!isOperator()) return null
  return (
    <>
      <Orders />
      <FailedDeliveries />
      <AuditLog />
    </>
  )
}

function Orders() {
  const query = { limit: SHOWN }
  const { state, refresh } = useResource(
    `orders of ${identity.value?.name}`,
    () => (identity.value?.client ?? missing()).reading('/api/orders', { params: { query } }),
    SECONDS,
  )
  useEffect(() => void refresh(), [ordersSent.value])
  return (
    <ReadPanel
      title="Orders of operators"
      hint="The pipelines carry out an order within seconds. Each is in the audit log with its reason."
      resource={state.value}
      freshFor={4 * SECONDS}
      actions={<NewOrders />}
    >
      {({ orders }) => (
        <DataTable
          caption="Orders, newest first"
          columns={COLUMNS}
          rows={orders}
          rowKey={(row) => row.id}
          empty="Nothing was ordered yet."
        />
      )}
    </ReadPanel>
  )
}

function missing(): never {
  throw new Error('Sign in again.')
}

function NewOrders() {
  return (
    <>
      <ResolveButton />
      <BackfillButton />
      <AdminTransaction />
    </>
  )
}

const LEVELS: Readonly<Record<string, Level>> = {
  requested: 'info',
  accepted: 'info',
  done: 'ok',
  failed: 'bad',
}

const COLUMNS: readonly Column<OperatorOrder>[] = [
  {
    title: 'Order',
    cell: (row) => (
      <>
        <strong>
          {row.id}: {titled(row.kind)}
        </strong>
        <span class="quiet block">{row.reason}</span>
      </>
    ),
  },
  {
    title: 'Status',
    cell: (row) => (
      <>
        <Status level={LEVELS[row.status] ?? 'info'}>{spaced(row.status)}</Status>
        {row.result !== null && <span class="quiet block">{row.result}</span>}
        {row.run_id !== null && <Run id={row.run_id} />}
      </>
    ),
  },
  {
    title: 'By',
    wideOnly: true,
    cell: (row) => (row.wallet === null ? (row.service ?? '–') : shortened(row.wallet)),
  },
  { title: 'Ordered', cell: (row) => <Time at={row.requested_at} short /> },
]

function Run({ id }: { id: string }) {
  return (
    <span class="block small">
      <Link to={runLink(id, useNetwork().data)}>run in Dagster</Link>
    </span>
  )
}
