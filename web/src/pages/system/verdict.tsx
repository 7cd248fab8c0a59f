import type { Quantity, ServiceHealthList } from '@zmart/client'
import { type Level, StatusIcon } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { isStale } from '../../data/resource.ts'
import { utc } from '../../format/times.ts'
import { causeOf, levelOf, problemOf, remedyOf } from './health_words.ts'

/** Seconds after which the verdict no longer holds. */
export const HEALTH_FRESH_SECONDS = 15

interface Reason {
  readonly service: string
  readonly quantity: Quantity
}

/** Is the system healthy, and if not: why, and what helps? */
export function Verdict({ health }: { health: Resource<ServiceHealthList> }) {
  const { data } = health
  const stale = isStale(health, HEALTH_FRESH_SECONDS)
  if (data === undefined || stale) return <Unknown health={health} />
  const reasons = reasonsOf(data)
  const level = levelOf(data.status)
  return (
    <section class={`system-verdict ${level}-ground`} aria-label="Verdict">
      <StatusIcon level={level} />
      <div class="system-verdict-text">
        <p class="system-verdict-word">{SENTENCES[level]}</p>
        <p class="quiet">
          {reasons.length === 0
            ? 'The same verdict as /health/services, which measures the work that is done.'
            : `${reasons.length === 1 ? 'One measure is' : `${reasons.length} measures are`} past a threshold:`}
        </p>
        {reasons.length > 0 && (
          <ul class="reasons">
            {reasons.map((reason) => (
              <ReasonItem key={`${reason.service} ${reason.quantity.name}`} {...reason} />
            ))}
          </ul>
        )}
      </div>
      <p class="as-of system-verdict-time">measured {utc(data.timestamp)}</p>
    </section>
  )
}

const SENTENCES: Readonly<Record<Level, string>> = {
  ok: 'All work that is due is done.',
  idle: 'All work that is due is done; nothing waits.',
  info: 'The system is starting.',
  warning: 'The system is degraded.',
  bad: 'The system is down.',
}

function Unknown({ health }: { health: Resource<ServiceHealthList> }) {
  if (health.problem === undefined && health.readAt === undefined) {
    return (
      <section class="system-verdict idle-ground" aria-label="Verdict">
        <StatusIcon level="info" />
        <p class="system-verdict-word">Reading the health …</p>
      </section>
    )
  }
  return (
    <section class="system-verdict bad-ground" aria-label="Verdict">
      <StatusIcon level="bad" />
      <div class="system-verdict-text">
        <p class="system-verdict-word">The health is unknown.</p>
        <p>
          {health.problem ?? 'It was not read again.'}
          {health.readAt !== undefined && (
            <>
              {' '}
              Last read <Time at={health.readAt} short />: {health.data?.status}.
            </>
          )}
        </p>
      </div>
    </section>
  )
}

function ReasonItem({ service, quantity }: Reason) {
  const level = levelOf(quantity.status)
  return (
    <li>
      <span class={`status ${level}`}>
        <StatusIcon level={level} />
        <span>{problemOf(quantity)}.</span>
      </span>
      <span class="quiet small">
        {service}
        {quantity.cause !== null && ` · ${causeOf(quantity)}`}
      </span>
      <span class="small">
        <strong>Do:</strong> {remedyOf(quantity) ?? 'see docs/operations.md.'}
      </span>
    </li>
  )
}

/** What is past a threshold, the worst first. A measure that several services share counts once. */
export function reasonsOf(health: ServiceHealthList): Reason[] {
  const found: Reason[] = []
  for (const { service, quantities } of health.services) {
    for (const quantity of quantities) {
      if (!['ok', 'idle'].includes(quantity.status)) found.push({ service, quantity })
    }
  }
  const isDown = (reason: Reason) => Number(reason.quantity.status === 'down')
  return found.sort((one, other) => isDown(other) - isDown(one))
}
