import type { MarketStatus } from '@zmart/client'
import { ResolveButton } from '../../components/operator_orders.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { percent, sol } from '../../format/amounts.ts'
import { spaced } from '../../format/names.ts'
import { duration, isUtcHere, local, utc, utcTime } from '../../format/times.ts'
import { freshSeconds, type MarketPanelProps, useMarketPart } from './reading.ts'

type Blocker = MarketStatus['blockers'][number]

const ACTORS: Readonly<Record<string, string>> = {
  voters: 'the voters',
  creator: 'the creator',
  traders: 'the traders',
  operators: 'the operators',
  pipelines: 'this system',
  winners: 'the winners',
}

/** What the market waits for, who must act until when, and what is in the way. */
export function WaitsPanel(props: MarketPanelProps) {
  const status = useMarketPart(props, 'status', ['state', 'votes'], (market) =>
    api.reading('/api/markets/{market}/status', { params: { path: { market } } }),
  )
  return (
    <ReadPanel
      title="Waits for"
      class="waits"
      resource={status}
      freshFor={freshSeconds()}
      actions={props.market.state === 'ACTIVE' && <ResolveButton market={props.market.id} />}
    >
      {(found) => <Waits status={found} {...props} />}
    </ReadPanel>
  )
}

function Waits({ status, market }: { status: MarketStatus } & MarketPanelProps) {
  const outcome = outcomeText(status.state, market.final_outcome ?? market.proposed_outcome)
  return (
    <>
      <p class="waits-for">{status.waits_for}</p>
      <dl class="facts">
        <div>
          <dt>Who acts next</dt>
          <dd>{status.actor === null ? 'no one: it is over' : (ACTORS[status.actor] ?? status.actor)}</dd>
        </div>
        <div>
          <dt>Until</dt>
          <dd>{status.deadline === null ? 'no deadline' : <Deadline status={status} at={status.deadline} />}</dd>
        </div>
        {outcome !== undefined && (
          <div>
            <dt>{status.state === 'FINALIZED' ? 'Outcome' : 'Proposed outcome'}</dt>
            <dd>{outcome}</dd>
          </div>
        )}
        <div>
          <dt>Price of YES</dt>
          <dd>{percent(market.price_yes)}</dd>
        </div>
        <div>
          <dt>Volume</dt>
          <dd>
            {sol(market.exact.total_volume)}
            <small>in {market.trades_count} trades</small>
          </dd>
        </div>
        {status.next_action !== null && (
          <div>
            <dt>Next transaction</dt>
            <dd>{spaced(status.next_action)}</dd>
          </div>
        )}
      </dl>
      <Blockers blockers={status.blockers} />
    </>
  )
}

/** A deadline by the chain's clock, which the chain's time is shown beside. */
function Deadline({ status, at }: { status: MarketStatus; at: string }) {
  const left = status.seconds_left ?? 0
  return (
    <>
      {left > 0 ? `${duration(left)} left` : 'passed'}
      <small>{utc(at)}</small>
      {!isUtcHere(at) && <small>{local(at)}</small>}
      <small>by the chain’s clock, last at {utcTime(status.chain_time)}</small>
    </>
  )
}

function Blockers({ blockers }: { blockers: readonly Blocker[] }) {
  if (blockers.length === 0) return <Status level="ok">Nothing is in the way</Status>
  return (
    <ul class="blockers">
      {blockers.map((blocker) => (
        <li key={`${blocker.kind} ${blocker.name}`}>
          <Status level={blocker.kind === 'alert' ? 'warning' : 'bad'}>
            {blocker.kind}: {spaced(blocker.name)}
          </Status>{' '}
          {blocker.since !== null && <Time at={blocker.since} short />}
        </li>
      ))}
    </ul>
  )
}

function outcomeText(state: string, outcome: boolean | null): string | undefined {
  if (outcome !== null) return outcome ? 'YES' : 'NO'
  return state === 'FINALIZED' ? 'invalid' : undefined
}
