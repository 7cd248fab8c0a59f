import type { OperatorOrder } from '@zmart/client'
import { useEffect } from 'preact/hooks'
import { type Column, DataTable } from '../../../components/data_table.tsx'
import { OrderButton, ordersSent } from '../../../components/order_button.tsx'
import { ReadPanel } from '../../../components/panel.tsx'
import { type Level, Status } from '../../../components/status.tsx'
import { Time } from '../../../components/time.tsx'
import { identity, isOperator } from '../../../data/identity.ts'
import { useResource } from '../../../data/resource.ts'
import { shortened, spaced, titled } from '../../../format/names.ts'
import { AdminTransaction } from './admin_transaction.tsx'

const SECONDS = 5
const SHOWN = 10

/** What operators ordered, and what else they may order. Shown to operators alone. */
export function OperatorsPanel() {
  return isOperator() ? <Orders /> : null
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
      <OrderButton
        label="Resolve a market …"
        title="Resolve a market with the resolver’s key"
        kind="resolve_market"
        parameters={({ market, outcome, evidence }) => ({
          market,
          outcome: outcome === 'yes',
          evidence,
        })}
      >
        <label>
          Market (64 hex digits)
          <input name="market" required pattern="[0-9a-f]{64}" />
        </label>
        <label>
          Outcome
          <select name="outcome">
            <option value="yes">YES</option>
            <option value="no">NO</option>
          </select>
        </label>
        <label>
          Evidence: what decided the question; it is pinned
          <textarea name="evidence" required maxLength={20_000} />
        </label>
      </OrderButton>
      <OrderButton
        label="Backfill …"
        title="Read slots again, as far as they are not covered"
        kind="backfill"
        parameters={({ first, last }) => ({ first_slot: Number(first), last_slot: Number(last) })}
      >
        <label>
          First slot
          <input name="first" required inputMode="numeric" pattern="\d{1,15}" />
        </label>
        <label>
          Last slot
          <input name="last" required inputMode="numeric" pattern="\d{1,15}" />
        </label>
      </OrderButton>
      <OrderButton
        label="Redeliver …"
        title="Ingest a stored webhook delivery again"
        kind="redeliver"
        parameters={({ delivery }) => ({ delivery: Number(delivery) })}
      >
        <label>
          Delivery (its number)
          <input name="delivery" required inputMode="numeric" pattern="\d{1,15}" />
        </label>
      </OrderButton>
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
