import type { SystemFigures } from '@zmart/client'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { type Resource, useResource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { FIGURES_FRESH_SECONDS, FIGURES_SECONDS } from './figures.ts'

/** How fast do transactions and live updates flow? */
export function Intake({ figures }: { figures: Resource<SystemFigures> }) {
  const { state: live } = useResource('sockets', () => api.reading('/health/websocket'), FIGURES_SECONDS)
  return (
    <ReadPanel
      class="half"
      title="Intake and live updates"
      hint="Transactions of the last ten minutes, and who follows."
      resource={figures}
      freshFor={FIGURES_FRESH_SECONDS}
    >
      {({ intake }) => (
        <dl class="facts">
          <div>
            <dt>Webhooks</dt>
            <dd>
              {perMinute(intake.by_webhook, intake.seconds)}
              <small>{waiting(intake.deliveries_waiting)}</small>
            </dd>
          </div>
          <div>
            <dt>Found by polls alone</dt>
            <dd>
              {perMinute(intake.transactions - intake.by_webhook, intake.seconds)}
              <small>of {perMinute(intake.transactions, intake.seconds)}</small>
            </dd>
          </div>
          <div>
            <dt>Confirmed poll at the tip</dt>
            <dd>{intake.confirmed_at === null ? 'never' : <Time at={intake.confirmed_at} short />}</dd>
          </div>
          <div>
            <dt>Finalized proof at the tip</dt>
            <dd>{intake.finalized_at === null ? 'never' : <Time at={intake.finalized_at} short />}</dd>
          </div>
          <div>
            <dt>Followers</dt>
            <dd>
              {live.value.data === undefined ? '–' : grouped(live.value.data.sockets)}
              <small>sockets of the process that answered</small>
            </dd>
          </div>
          <div>
            <dt>Frames</dt>
            <dd>
              {live.value.data === undefined ? '–' : grouped(live.value.data.position)}
              <small>
                {live.value.data !== undefined && live.value.data.signal_seconds === null ? (
                  <Status level="warning">no signal through Redis</Status>
                ) : (
                  'delivered in all'
                )}
              </small>
            </dd>
          </div>
        </dl>
      )}
    </ReadPanel>
  )
}

const perMinute = (number: number, seconds: number) => `${((number * 60) / seconds).toFixed(1)}/min`
const waiting = (number: number) => (number === 0 ? 'no delivery waits' : `${number} deliveries wait`)
