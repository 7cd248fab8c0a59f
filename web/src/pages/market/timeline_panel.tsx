import type { TimelineStep } from '@zmart/client'
import { Link } from '../../components/link.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { StatusIcon } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { sol } from '../../format/amounts.ts'
import { spaced, titled } from '../../format/names.ts'
import { assetLink, assetOfAction, runLink } from '../../links/dagster.ts'
import { transactionLink } from '../../links/explorer.ts'
import { FRESH_SECONDS, type MarketPanelProps, useMarketPart } from './reading.ts'
import { titleOf } from './timeline.ts'

/** The market's states: who moved it, by which transaction, at what fee. */
export function TimelinePanel(props: MarketPanelProps) {
  const steps = useMarketPart(props, 'timeline', ['state'], (market) =>
    api.reading('/api/markets/{market}/timeline', { params: { path: { market } } }),
  )
  return (
    <ReadPanel
      title="Timeline"
      hint="Who moved this market from state to state, and by which transaction."
      class="half"
      resource={steps}
      freshFor={FRESH_SECONDS}
    >
      {({ steps: found }) => (
        <ol class="timeline">
          {found.map((step) => (
            <StepItem key={step.id} step={step} {...props} />
          ))}
        </ol>
      )}
    </ReadPanel>
  )
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
          {step.fee != null && <> · fee {sol(step.fee)}</>}
          {step.commitment !== 'finalized' && <> · {step.commitment}, not final yet</>}
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
