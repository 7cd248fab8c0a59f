import type { AlertCause, OperatorAlert } from '@zmart/client'
import { ActButton } from '../../components/act_button.tsx'
import { Panel, Waiting } from '../../components/panel.tsx'
import { type Level, Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { hasText, type ShownAlert, useAlertCauses, useOpenAlerts } from '../../data/alerts.ts'
import { isOperator } from '../../data/identity.ts'
import { connection } from '../../data/live.ts'
import { titled } from '../../format/names.ts'
import { MarkedText } from '../../components/marked_text.tsx'
import { SilenceButton, Silences } from './operators/silences.tsx'

const LEVELS: Readonly<Record<string, Level>> = { critical: 'bad', high: 'bad', medium: 'warning' }
const RANKS: readonly string[] = ['critical', 'high', 'medium']
const SHOWN = 12

/** What is wrong, and what do I do? */
export function AlertsPanel() {
  const alerts = useOpenAlerts()
  const causes = useAlertCauses()
  const stale = connection.value.state !== 'connected'
  return (
    <Panel
      class={`half ${stale ? 'stale' : ''}`}
      title={alerts === undefined ? 'Open alerts' : `Open alerts (${alerts.length})`}
      hint="Conditions that last now, the most severe first; each ends once its cause is gone."
    >
      {alerts === undefined && <Waiting />}
      {alerts?.length === 0 && (
        <p>
          <Status level="ok">No alert is open</Status>
        </p>
      )}
      {alerts !== undefined && alerts.length > 0 && (
        <ul class="alerts">
          {bySeverity(alerts).slice(0, SHOWN).map((alert) => (
            <AlertItem key={alert.id} alert={alert} cause={causes.get(alert.topic)} />
          ))}
        </ul>
      )}
      {alerts !== undefined && alerts.length > SHOWN && (
        <p class="quiet small">and {alerts.length - SHOWN} more</p>
      )}
      {isOperator() && <Silences />}
      <p class="as-of">
        {stale ? <Status level="warning">stale: the live updates are cut off</Status> : 'live'}
      </p>
    </Panel>
  )
}

function bySeverity(alerts: readonly ShownAlert[]): ShownAlert[] {
  const rank = ({ severity }: ShownAlert) => RANKS.indexOf(severity)
  return [...alerts].sort((one, other) => rank(one) - rank(other) || other.id - one.id)
}

function AlertItem({ alert, cause }: { alert: ShownAlert; cause: AlertCause | undefined }) {
  return (
    <li class="alert">
      <p>
        <Status level={LEVELS[alert.severity] ?? 'warning'}>
          {alert.severity}: {titled(alert.topic)}
        </Status>
      </p>
      {hasText(alert) ? (
        <p class="small">{alert.message}</p>
      ) : (
        cause && (
          <p class="small">
            <MarkedText text={sentence(cause.summary)} />
          </p>
        )
      )}
      {cause !== undefined && (
        <p class="small">
          <strong>Do:</strong> <MarkedText text={cause.remedy} /> ·{' '}
          <a href={`/app/runbooks/${alert.topic}`}>runbook</a>
        </p>
      )}
      <p class="small quiet">
        raised <Time at={alert.raised_at} short />
        {alert.market_id !== null && (
          <>
            {' · '}
            <a href={`/app/markets/${alert.market_id}`}>market {alert.market_id.slice(0, 8)}</a>
          </>
        )}
      </p>
      {hasText(alert) && <Handling alert={alert} />}
    </li>
  )
}

/** Who took an alert over, or the ways to do so. */
function Handling({ alert }: { alert: OperatorAlert }) {
  return (
    <div class="panel-actions">
      {alert.acknowledged_at === null ? (
        <ActButton
          label="Acknowledge …"
          title={`Take over: ${titled(alert.topic)}`}
          submit="Acknowledge"
          act={async (client, fields) => {
            await client.post('/api/alerts/{alert}/acknowledgement', {
              params: { path: { alert: alert.id } },
              body: { reason: fields['reason'] ?? '' },
            })
          }}
        >
          <p class="quiet small">Its severity no longer rises, and no message repeats it.</p>
        </ActButton>
      ) : (
        <span class="small">
          <Status level="info">
            acknowledged by {alert.acknowledged_by} <Time at={alert.acknowledged_at} short />
          </Status>
        </span>
      )}
      <SilenceButton alert={alert} />
    </div>
  )
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
