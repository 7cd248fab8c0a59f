import type { Submission } from '@zmart/client'
import { type Column, DataTable } from '../../components/data_table.tsx'
import { Name } from '../../components/name.tsx'
import { OrderButton } from '../../components/order_button.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { type Level, Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { useNetwork } from '../../data/network.ts'
import { useResource } from '../../data/resource.ts'
import { sol } from '../../format/amounts.ts'
import { spaced, titled } from '../../format/names.ts'
import { duration } from '../../format/times.ts'
import { transactionLink } from '../../links/explorer.ts'

const SECONDS = 10
const SHOWN = 10

/** What was sent to the chain, and why? */
export function Submissions() {
  const query = { limit: SHOWN }
  const { state } = useResource(
    'submissions',
    () => api.reading('/api/submissions', { params: { query } }),
    SECONDS,
  )
  return (
    <ReadPanel
      title="Last submissions"
      hint="What was decided to be sent to the chain, once for each market, action and round."
      resource={state.value}
      freshFor={3 * SECONDS}
    >
      {({ submissions }) => (
        <DataTable
          caption="Last submissions, newest first"
          columns={COLUMNS}
          rows={submissions}
          rowKey={(row) => row.id}
          empty="Nothing was submitted yet."
        />
      )}
    </ReadPanel>
  )
}

const COLUMNS: readonly Column<Submission>[] = [
  {
    title: 'Action',
    cell: (row) => (
      <>
        <strong>{titled(row.action)}</strong>
        <a class="row-market" href={`/app/markets/${row.market_id}`}>
          {row.question ?? `Market ${row.market_id.slice(0, 8)}`}
        </a>
        <span class="quiet block small">{whyOf(row)}</span>
      </>
    ),
  },
  {
    title: 'Status',
    cell: (row) => (
      <>
        <Status level={LEVELS[row.status]}>{spaced(row.status)}</Status>
        {row.reason !== null && <span class="quiet block">{row.reason}</span>}
        {(row.status === 'failed' || row.status === 'quarantined') && (
          <span class="panel-actions">
            <OrderButton
              label="Retry …"
              title={`Plan submission ${row.id} again`}
              kind="retry_submission"
              parameters={() => ({ intent: row.id })}
            />
            <OrderButton
              label="Close …"
              title={`Close submission ${row.id}, which did not become final`}
              kind="close_submission"
              parameters={() => ({ intent: row.id })}
            />
          </span>
        )}
      </>
    ),
  },
  {
    title: 'Transaction',
    cell: (row) => (row.signature === null ? '–' : <Transaction signature={row.signature} />),
  },
  {
    title: 'Ballots (CID)',
    wideOnly: true,
    cell: (row) =>
      row.bundle_cid === null ? (
        <span class="quiet">none needed</span>
      ) : (
        <Name of={row.bundle_cid} href={`/ipfs/${row.bundle_cid}`} ends={5} />
      ),
  },
  { title: 'Fee', numeric: true, cell: (row) => sol(row.fees) },
  {
    title: 'Due → final',
    numeric: true,
    cell: (row) => (row.seconds_to_final === null ? '–' : seconds(row.seconds_to_final)),
  },
  { title: 'Decided', wideOnly: true, cell: (row) => <Time at={row.planned_at} /> },
]

function Transaction({ signature }: { signature: string }) {
  const href = transactionLink(signature, useNetwork().data)
  return <Name of={signature} ends={5} {...(href && { href })} />
}

const WHY: Readonly<Record<string, string>> = {
  aggregate_proposal_votes: 'because the signed ballots reach the threshold',
  approve_proposal: 'because the counts on chain reach the threshold',
  activate_market: 'because the market is approved',
  resolve_market: 'because an operator ordered it, with evidence',
}

/** What made the submission due. */
function whyOf({ action, bundle_cid: ballots }: Submission): string | undefined {
  if (action !== 'finalize_market') return WHY[action]
  return ballots === null
    ? 'because the dispute window ended without a dispute'
    : 'because the vote on the dispute has ended'
}

const LEVELS: Readonly<Record<Submission['status'], Level>> = {
  planned: 'info',
  live: 'info',
  final: 'ok',
  superseded: 'idle',
  failed: 'bad',
  quarantined: 'bad',
}

const seconds = (value: number) => (value < 60 ? `${value.toFixed(1)}\u00a0s` : duration(value))
