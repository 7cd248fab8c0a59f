import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { type Resource, isStale } from '../data/resource.ts'
import { grouped } from '../format/amounts.ts'
import { relative, utc } from '../format/times.ts'
import { now } from '../data/clock.ts'
import { Status } from './status.tsx'

interface PanelProps {
  readonly title: string
  /** The question that the panel answers, in one sentence. */
  readonly hint?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly class?: string
  readonly children: ComponentChildren
}

/** A part of a page under a heading. */
export function Panel({ title, hint, actions, class: extra = '', children }: PanelProps) {
  const id = useId()
  return (
    <section class={`panel ${extra}`} aria-labelledby={id}>
      <header class="panel-head">
        <div>
          <h2 id={id}>{title}</h2>
          {hint !== undefined && <p class="quiet">{hint}</p>}
        </div>
        {actions !== undefined && <div class="panel-actions">{actions}</div>}
      </header>
      {children}
    </section>
  )
}

interface ReadPanelProps<Data> extends Omit<PanelProps, 'children'> {
  readonly resource: Resource<Data>
  /** Age in seconds from which the figures are marked as stale. */
  readonly freshFor: number
  readonly children: (data: Data) => ComponentChildren
}

/** A panel of what was read from the API: it says as of which slot and when, and what is stale. */
export function ReadPanel<Data>({ resource, freshFor, children, ...panel }: ReadPanelProps<Data>) {
  const stale = isStale(resource, freshFor)
  return (
    <Panel {...panel} class={`${panel.class ?? ''} ${stale ? 'stale' : ''}`}>
      {resource.data !== undefined && children(resource.data)}
      {resource.data === undefined && resource.problem === undefined && <Waiting />}
      {resource.data === undefined && resource.problem !== undefined && (
        <p role="status">
          <Status level="bad">Not read: {resource.problem}</Status>
        </p>
      )}
      <AsOf resource={resource} stale={stale} />
    </Panel>
  )
}

export function Waiting() {
  return <p class="quiet waiting">Reading …</p>
}

function AsOf({ resource, stale }: { resource: Resource<unknown>; stale: boolean }) {
  if (resource.readAt === undefined) return null
  const slot = resource.asOfSlot === undefined ? '' : ` · slot ${grouped(resource.asOfSlot)}`
  return (
    <p class="as-of">
      {stale && <Status level="warning">stale: {resource.problem ?? 'not read again'}</Status>}
      <span title={utc(resource.readAt)}>
        as of {stale ? relative(resource.readAt, now.value) : utc(resource.readAt)}
        {slot}
      </span>
    </p>
  )
}
