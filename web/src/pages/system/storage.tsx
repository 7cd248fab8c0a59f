import type { SystemFigures } from '@zmart/client'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import type { Resource } from '../../data/resource.ts'
import { grouped } from '../../format/amounts.ts'
import { size } from '../../format/sizes.ts'
import { FIGURES_FRESH_SECONDS } from './figures.ts'

/** Is what cannot be read from the chain again kept? */
export function Storage({ figures }: { figures: Resource<SystemFigures> }) {
  return (
    <ReadPanel
      class="half"
      title="Backups and snapshots"
      hint="Whether what the chain does not hold is kept."
      resource={figures}
      freshFor={FIGURES_FRESH_SECONDS}
    >
      {(found) => <Kept {...found} />}
    </ReadPanel>
  )
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
