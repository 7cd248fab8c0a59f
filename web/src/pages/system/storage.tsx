import type { SystemFigures } from '@zmart/client'
import { useEffect, useRef } from 'preact/hooks'
import { DataTable } from '../../components/data_table.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { FIGURES_FRESH_SECONDS } from './figures.ts'

/** Is what cannot be read from the chain again kept, and what grows? */
export function Storage({ figures }: { figures: Resource<SystemFigures> }) {
  const first = useFirst(figures.data)
  return (
    <ReadPanel
      class="half"
      title="Backups, snapshots, growth"
      hint="Whether what the chain does not hold is kept, and what fills the disk."
      resource={figures}
      freshFor={FIGURES_FRESH_SECONDS}
    >
      {(found) => (
        <>
          <Kept {...found} />
          <Growth now={found} first={first} />
        </>
      )}
    </ReadPanel>
  )
}

/** The figures that this page read first: growth is measured from there. */
function useFirst(figures: SystemFigures | undefined): SystemFigures | undefined {
  const first = useRef<SystemFigures>(undefined)
  useEffect(() => {
    first.current ??= figures
  }, [figures])
  return first.current
}

function Kept({ backups, snapshots, database }: SystemFigures) {
  return (
    <dl class="facts">
      <div>
        <dt>Last verified backup</dt>
        <dd>
          {backups.last_verified_at === null ? (
            <Status level="warning">none yet</Status>
          ) : (
            <Time at={backups.last_verified_at} short />
          )}
          <small>
            {backups.failed === true ? (
              <Status level="bad">the newest one failed</Status>
            ) : (
              backups.rows !== null && `${grouped(backups.rows)} rows, ${size(backups.bytes ?? 0)}`
            )}
          </small>
        </dd>
      </div>
      <div>
        <dt>Last discussion snapshot</dt>
        <dd>
          {snapshots.last_pinned_at === null ? 'none yet' : <Time at={snapshots.last_pinned_at} short />}
          <small>{snapshots.waiting === 0 ? 'none waits' : `${snapshots.waiting} wait to be pinned`}</small>
        </dd>
      </div>
      <div>
        <dt>Database</dt>
        <dd>
          {size(database.bytes)}
          <small>
            {database.connections} of {database.max_connections} connections
          </small>
        </dd>
      </div>
    </dl>
  )
}

interface GrowthProps {
  readonly now: SystemFigures
  readonly first: SystemFigures | undefined
}

function Growth({ now, first }: GrowthProps) {
  const before = new Map(first?.database.tables.map((table) => [table.name, table.inserted]))
  const minutes = (Date.parse(now.measured_at) - Date.parse(first?.measured_at ?? now.measured_at)) / 60_000
  const rate = (name: string, inserted: number) => {
    const earlier = before.get(name)
    // A restart of Postgres may have reset the statistics.
    if (earlier === undefined || minutes < 0.1 || inserted < earlier) return '…'
    return `${((inserted - earlier) / minutes).toFixed(0)}/min`
  }
  return (
    <DataTable
      caption="The largest tables"
      rows={now.database.tables.slice(0, 6)}
      rowKey={(row) => row.name}
      empty="There is no table."
      columns={[
        { title: 'Table', cell: (row) => <code>{row.name}</code> },
        { title: 'Size', numeric: true, cell: (row) => size(row.bytes) },
        { title: 'Rows', numeric: true, cell: (row) => `≈ ${grouped(row.rows)}` },
        { title: 'New rows', numeric: true, cell: (row) => rate(row.name, row.inserted) },
      ]}
    />
  )
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes in the largest unit of which there is one. */
function size(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1]
  return `${unit === 0 ? value : value.toFixed(1)}\u00a0${UNITS[unit]}`
}
