import type { DiscussionSnapshot, TimelineStep } from '@zmart/client'
import { Link } from '../../components/link.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { StatusIcon } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { sol } from '../../format/amounts.ts'
import { spaced, titled } from '../../format/names.ts'
import { assetLink, assetOfAction, runLink, SNAPSHOT_ASSET } from '../../links/dagster.ts'
import { transactionLink } from '../../links/explorer.ts'
import { freshSeconds, type MarketPanelProps, useMarketPart } from './reading.ts'
import { timelineOf, titleOf } from './timeline.ts'

/** The newest snapshots of the discussion that are shown; its panel lists the others. */
const SNAPSHOTS = 5

/** The market's states: who moved it, by which transaction, at what fee; and what was pinned meanwhile. */
export function TimelinePanel(props: MarketPanelProps) {
  const timeline = useMarketPart(props, 'timeline', ['state', 'discussion'], readTimeline)
  return (
    <ReadPanel
      title="Timeline"
      hint="Who moved this market from state to state, and by which transaction."
      class="half"
      resource={timeline}
      freshFor={freshSeconds()}
    >
      {({ steps, snapshots }) => (
        <ol class="timeline">
          {timelineOf(steps, snapshots).map((item) =>
            item.is === 'step' ? (
              <StepItem key={item.step.id} step={item.step} {...props} />
            ) : (
              <SnapshotItem key={item.snapshot.cid} snapshot={item.snapshot} network={props.network} />
            ),
          )}
        </ol>
      )}
    </ReadPanel>
  )
}

async function readTimeline(market: string) {
  const path = { market }
  const [timeline, { snapshots }] = await Promise.all([
    api.reading('/api/markets/{market}/timeline', { params: { path } }),
    api.get('/api/markets/{market}/snapshots', { params: { path, query: { limit: SNAPSHOTS } } }),
  ])
  return { ...timeline, data: { steps: timeline.data.steps, snapshots } }
}

function StepItem({ step, network }: { step: TimelineStep } & MarketPanelProps) {
  const explorer = transactionLink(step.signature, network)
  return (
    <li class={step.state === null ? 'minor' : ''}>
      <StatusIcon level={step.commitment === 'finalized' ? 'ok' : 'info'} />
      <div>
        <p>
          <strong>{titleOf(step)}</strong>
          {step.state !== null && <span class="tag">{titled(step.state)}</span>}
        </p>
        {step.at !== null && <Time at={step.at} />}
        <p class="small">
          by <Actor step={step} network={network} /> · <Name of={step.signature} {...(explorer && { href: explorer })} />{' '}
          · slot {step.slot}
          {step.fee != null && (
            <>
              {' '}
              · <span class="nowrap">fee {sol(step.fee)}</span>
            </>
          )}
          {step.commitment !== 'finalized' && <> · {step.commitment}, not final yet</>}
        </p>
      </div>
    </li>
  )
}

interface SnapshotItemProps {
  readonly snapshot: DiscussionSnapshot
  readonly network: MarketPanelProps['network']
}

/** A day of the discussion, pinned by the partition of that day. */
function SnapshotItem({ snapshot, network }: SnapshotItemProps) {
  return (
    <li class="minor">
      <StatusIcon level="ok" />
      <div>
        <p>
          <strong>
            Discussion of {snapshot.day} pinned
            {snapshot.parts > 1 && ` (part ${snapshot.part} of ${snapshot.parts})`}
          </strong>
        </p>
        {snapshot.pinned_at !== null && <Time at={snapshot.pinned_at} />}
        <p class="small">
          by this system (<Link to={assetLink(SNAPSHOT_ASSET, network)}>discussion snapshots</Link>,{' '}
          <Link to={assetLink(SNAPSHOT_ASSET, network, snapshot.day)}>partition in Dagster</Link>) ·{' '}
          <Name of={snapshot.cid} href={snapshot.url} ends={6} />
        </p>
      </div>
    </li>
  )
}

function Actor({ step, network }: { step: TimelineStep; network: MarketPanelProps['network'] }) {
  switch (step.moved_by) {
    case 'wallet':
      return <Name of={step.wallet ?? ''} href={`/app/wallets/${step.wallet}`} />
    case 'admin':
      return <>the program’s admin</>
    case 'pipelines':
      return <Pipelines action={step.action ?? ''} run={step.run_id ?? undefined} network={network} />
  }
}

interface PipelinesProps {
  readonly action: string
  readonly run: string | undefined
  readonly network: MarketPanelProps['network']
}

/** This system's part that sent the transaction, with its asset and run in Dagster. */
function Pipelines({ action, run, network }: PipelinesProps) {
  const asset = assetOfAction(action)
  return (
    <>
      this system (
      <Link to={asset && assetLink(asset, network)}>{spaced(action)}</Link>
      {run !== undefined && (
        <>
          , <Link to={runLink(run, network)}>run in Dagster</Link>
        </>
      )}
      )
    </>
  )
}
