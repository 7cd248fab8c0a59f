import type { Alert } from '@zmart/client'
import { Panel, Waiting } from '../../components/panel.tsx'
import { type Level, Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { useOpenAlerts } from '../../data/alerts.ts'
import { connection } from '../../data/live.ts'
import { titled } from '../../format/names.ts'

const LEVELS: Readonly<Record<string, Level>> = { critical: 'bad', high: 'bad', medium: 'warning' }

/** What is wrong, and what do I do? */
export function AlertsPanel() {
  const alerts = useOpenAlerts()
  const stale = connection.value.state !== 'connected'
  return (
    <Panel
      class={`half ${stale ? 'stale' : ''}`}
      title={alerts === undefined ? 'Open alerts' : `Open alerts (${alerts.length})`}
      hint="Conditions that last now; each ends by itself once its cause is gone."
    >
      {alerts === undefined && <Waiting />}
      {alerts?.length === 0 && (
        <p>
          <Status level="ok">No alert is open</Status>
        </p>
      )}
      {alerts !== undefined && alerts.length > 0 && (
        <ul class="alerts">
          {alerts.map((alert) => (
            <AlertItem key={alert.id} alert={alert} />
          ))}
        </ul>
      )}
      <p class="as-of">
        {stale ? <Status level="warning">stale: the live updates are cut off</Status> : 'live'}
      </p>
    </Panel>
  )
}

function AlertItem({ alert }: { alert: Alert }) {
  return (
    <li class="alert">
      <p>
        <Status level={LEVELS[alert.severity] ?? 'warning'}>
          {alert.severity}: {titled(alert.topic)}
        </Status>
      </p>
      <p class="small quiet">
        raised <Time at={alert.raised_at} short />
        {alert.market_id !== null && (
          <>
            {' · '}
            <a href={`/app/markets/${alert.market_id}`}>market {alert.market_id.slice(0, 8)}</a>
          </>
        )}
      </p>
    </li>
  )
}
