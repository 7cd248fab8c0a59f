import type { Quantity, ServiceHealthList, SystemFigures, WebsocketHealth } from '@zmart/client'
import type { ComponentChildren } from 'preact'
import { type Level, Status } from '../../components/status.tsx'
import { connection } from '../../data/live.ts'
import type { Resource } from '../../data/resource.ts'
import { systemState } from '../../data/system_state.ts'
import { grouped } from '../../format/amounts.ts'
import { duration } from '../../format/times.ts'
import { ratesOf } from './figures.ts'
import { levelOf, measured } from './health_words.ts'

interface SystemMapProps {
  readonly health: ServiceHealthList
  readonly figures: Resource<SystemFigures>
  readonly sockets: Resource<WebsocketHealth>
}

/** The parts of the system, and on each arrow what moves there and how well. */
export function SystemMap({ health, figures, sockets }: SystemMapProps) {
  const rates = figures.data && ratesOf(figures.data)
  const find = (service: string, name: string) =>
    health.services
      .find((one) => one.service === service)
      ?.quantities.find((one) => one.name === name)
  const indexer = (name: string) => find('event-indexer', name)
  const due = worse(
    find('vote-aggregator', 'due_decision_seconds'),
    find('market-monitor', 'due_decision_seconds'),
  )
  const intents = worse(
    find('vote-aggregator', 'open_intent_seconds'),
    find('market-monitor', 'open_intent_seconds'),
  )
  return (
    <div class="map">
      <ol class="map-row" aria-label="From the chain to clients">
        <Part name="Solana" role="the program’s events" />
        <Arrow>
          <Measure label="webhooks" rate={rates?.webhooks} of={indexer('delivery_seconds')} text={waitingDeliveries} />
          <Measure label="poll" rate={rates?.polls} of={indexer('confirmed_lag_slots')} text={lag} />
          <Measure label="finalized proof" of={indexer('finalized_lag_slots')} text={lag} />
        </Arrow>
        <Part name="Ledger" role="Postgres: events, markets, votes" />
        <Arrow>
          <Measure label="jobs" of={find('pipelines', 'job_overdue_seconds')} text={onSchedule} />
          <Measure label="checks" of={find('pipelines', 'failing_checks')} text={allPass} />
        </Arrow>
        <Part name="API" role="REST and sockets" />
        <Arrow>
          <Live />
          {sockets.data !== undefined && <Sockets of={sockets.data} />}
        </Arrow>
        <Part name="Clients" role="wallets, pages, services" />
      </ol>
      <ol class="map-row" aria-label="From the ledger back to the chain">
        <Part name="Ledger" role="votes, windows, thresholds" />
        <Arrow>
          <Measure label="decisions due" of={due} text={nothingOwed} />
        </Arrow>
        <Part name="Decisions" role="tallies frozen and pinned" />
        <Arrow>
          <Measure label="open submissions" of={intents} text={nothingOwed} />
        </Arrow>
        <Part name="Submitter" role="signs, sends, follows to final" />
        <Arrow>
          <Gates />
        </Arrow>
        <Part name="Solana" role="counts, outcomes" />
      </ol>
    </div>
  )
}

function Part({ name, role }: { name: string; role: string }) {
  return (
    <li class="part">
      <strong>{name}</strong>
      <span class="quiet small">{role}</span>
    </li>
  )
}

function Arrow({ children }: { children: ComponentChildren }) {
  return (
    <li class="arrow">
      <div class="arrow-labels">{children}</div>
      <span class="arrow-line" aria-hidden="true" />
    </li>
  )
}

interface MeasureProps {
  readonly label: string
  /** How much moves there. */
  readonly rate?: string | undefined
  readonly of: Quantity | undefined
  readonly text: (quantity: Quantity) => string
}

function Measure({ label, rate, of, text }: MeasureProps) {
  if (of === undefined) return null
  const name = rate === undefined ? label : `${label} ${rate}`
  // What nothing is known of yet is not said to be well.
  const level = of.value === null && of.status === 'ok' ? 'info' : levelOf(of.status)
  return <Label name={name} level={level} text={text(of)} />
}

function Label({ name, level, text }: { name: string; level: Level; text: string }) {
  return (
    <span class="measure">
      <span class="quiet">{name}</span>
      <Status level={level}>{text}</Status>
    </span>
  )
}

function Live() {
  const isLive = connection.value.state === 'connected'
  return <Label name="this page" level={isLive ? 'ok' : 'warning'} text={isLive ? 'live' : 'cut off'} />
}

/** Who follows the process that answered. */
function Sockets({ of: { status, sockets } }: { of: WebsocketHealth }) {
  return <Label name="sockets" level={levelOf(status)} text={grouped(sockets)} />
}

/** What may hold submissions back: breakers and kill switches. */
function Gates() {
  const known = systemState.value
  if (known === undefined) return <Label name="gates" level="info" text="reading" />
  const { breakers, switches } = known.state
  const open = breakers.filter((breaker) => breaker.state !== 'closed').length
  const off = switches.switches.filter((one) => !one.sends && one.action !== 'all').length
  return (
    <>
      <Label
        name="breakers"
        level={open === 0 ? 'ok' : 'warning'}
        text={open === 0 ? 'all closed' : `${open} open`}
      />
      <Label
        name="switches"
        level={off === 0 ? 'ok' : 'warning'}
        text={off === 0 ? 'all on' : `${off} off`}
      />
    </>
  )
}

function worse(one: Quantity | undefined, other: Quantity | undefined): Quantity | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return (one.value ?? 0) >= (other.value ?? 0) ? one : other
}

function lag({ value }: Quantity): string {
  if (value === null) return 'unknown'
  const slots = Math.round(value)
  return `${grouped(slots)} ${slots === 1 ? 'slot' : 'slots'} behind`
}
const nothingOwed = (quantity: Quantity) => (quantity.value ? `${measured(quantity)} old` : 'none')
const onSchedule = (quantity: Quantity) =>
  quantity.value ? `${duration(quantity.value)} late` : 'on schedule'
const allPass = (quantity: Quantity) => (quantity.value ? `${measured(quantity)} fail` : 'all pass')

function waitingDeliveries(quantity: Quantity): string {
  const { waiting, given_up: givenUp } = quantity.detail
  if (Number(givenUp) > 0) return `${String(waiting)} wait, ${String(givenUp)} given up`
  return Number(waiting) > 0 ? `${String(waiting)} wait` : 'none wait'
}
