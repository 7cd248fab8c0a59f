import type { SystemFigures, WebsocketHealth } from '@zmart/client'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { FIGURES_FRESH_SECONDS, perMinute, ratesOf } from './figures.ts'

interface IntakeProps {
  readonly figures: Resource<SystemFigures>
  readonly sockets: Resource<WebsocketHealth>
}

/** How fast do transactions and live updates flow? */
export function Intake({ figures, sockets: { data: live } }: IntakeProps) {
  return (
    <ReadPanel
      class="half"
      title="Intake and live updates"
      hint="Transactions of the last ten minutes, and who follows."
      resource={figures}
      freshFor={FIGURES_FRESH_SECONDS}
    >
      {(found) => (
        <dl class="facts">
          <div>
            <dt>Webhooks</dt>
            <dd>
              {ratesOf(found).webhooks}
              <small>{waiting(found.intake.deliveries_waiting)}</small>
            </dd>
          </div>
          <div>
            <dt>Found by polls alone</dt>
            <dd>
              {ratesOf(found).polls}
              <small>of {perMinute(found.intake.transactions, found.intake.seconds)}</small>
            </dd>
          </div>
          <div>
            <dt>Confirmed poll at the tip</dt>
            <dd>{found.intake.confirmed_at === null ? 'never' : <Time at={found.intake.confirmed_at} short />}</dd>
          </div>
          <div>
            <dt>Finalized proof at the tip</dt>
            <dd>{found.intake.finalized_at === null ? 'never' : <Time at={found.intake.finalized_at} short />}</dd>
          </div>
          <div>
            <dt>Followers</dt>
            <dd>
              {live === undefined ? '–' : grouped(live.sockets)}
              <small>sockets of the process that answered</small>
            </dd>
          </div>
          <div>
            <dt>Frames</dt>
            <dd>
              {live === undefined ? '–' : grouped(live.position)}
              <small>
                {live !== undefined && live.signal_seconds === null ? (
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

const waiting = (number: number) => (number === 0 ? 'no delivery waits' : `${number} deliveries wait`)
