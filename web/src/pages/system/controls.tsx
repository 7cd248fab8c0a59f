import type { BreakerState, KillSwitch, SystemState } from '@zmart/client'
import type { ComponentChildren } from 'preact'
import { type Column, DataTable } from '../../components/data_table.tsx'
import { OrderButton } from '../../components/order_button.tsx'
import { Panel, Waiting } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { isOperator } from '../../data/identity.ts'
import { connection } from '../../data/live.ts'
import { systemState } from '../../data/system_state.ts'
import { titled } from '../../format/names.ts'
import { utc } from '../../format/times.ts'

/** Which actions are not sent, because operators stopped them? */
export function KillSwitches() {
  return (
    <LivePanel title="Kill switches" hint="An action whose switch is off is decided, and not sent.">
      {({ switches }) => <Switches switches={switches.switches} />}
    </LivePanel>
  )
}

/** What is not tried now, because it failed? */
export function CircuitBreakers() {
  return (
    <LivePanel title="Circuit breakers" hint="A breaker opens after failures in a row and tries again by itself.">
      {({ breakers }) => <Breakers breakers={breakers} />}
    </LivePanel>
  )
}

interface LivePanelProps {
  readonly title: string
  readonly hint: string
  readonly children: (state: SystemState) => ComponentChildren
}

/** A panel of the system's state, which live updates bring. */
function LivePanel({ title, hint, children }: LivePanelProps) {
  const known = systemState.value
  const stale = connection.value.state !== 'connected'
  return (
    <Panel class={`half ${stale ? 'stale' : ''}`} title={title} hint={hint}>
      {known === undefined ? <Waiting /> : children(known.state)}
      {known !== undefined && (
        <p class="as-of">
          {stale && <Status level="warning">stale: the live updates are cut off</Status>}
          <span>as of {utc(known.readAt)}</span>
        </p>
      )}
    </Panel>
  )
}

/** A column that only operators see. */
function operatorsColumn<Row>(cell: (row: Row) => ComponentChildren): Column<Row>[] {
  return isOperator() ? [{ title: 'Order', cell }] : []
}

function Switches({ switches }: { switches: readonly KillSwitch[] }) {
  return (
    <DataTable
      caption="Kill switches"
      rows={switches}
      rowKey={(row) => row.action}
      empty="There is no switch."
      columns={[
        { title: 'Action', cell: (row) => titled(row.action) },
        {
          title: 'State',
          cell: (row) => (
            <>
              <Status level={row.sends ? 'ok' : 'warning'}>{row.sends ? 'sends' : 'stopped'}</Status>
              {row.reason !== '' && <span class="quiet block">{row.reason}</span>}
            </>
          ),
        },
        {
          title: 'Changed',
          cell: (row) => (row.changed_at === null ? '–' : <Time at={row.changed_at} short />),
        },
        ...operatorsColumn((row: KillSwitch) => (
          <OrderButton
            label={row.enabled ? 'Switch off …' : 'Switch on …'}
            title={`Switch ${titled(row.action)} ${row.enabled ? 'off' : 'on'}`}
            kind="switch"
            parameters={() => ({ action: row.action, enabled: !row.enabled })}
          />
        )),
      ]}
    />
  )
}

function Breakers({ breakers }: { breakers: readonly BreakerState[] }) {
  return (
    <DataTable
      caption="Circuit breakers"
      rows={breakers}
      rowKey={(row) => `${row.scope} ${row.name}`}
      empty="No breaker ever counted a failure."
      columns={[
        {
          title: 'Breaker',
          cell: (row) => (
            <>
              {row.name}
              <span class="quiet block">{row.scope}</span>
            </>
          ),
        },
        {
          title: 'State',
          cell: (row) => (
            <Status level={row.state === 'closed' ? 'ok' : row.state === 'open' ? 'bad' : 'warning'}>
              {row.state.replace('_', ' ')}
            </Status>
          ),
        },
        { title: 'Failures', numeric: true, cell: (row) => row.failures },
        {
          title: 'Tries again',
          cell: (row) => (row.wait_until === null ? '–' : <Time at={row.wait_until} short />),
        },
        ...operatorsColumn((row: BreakerState) =>
          row.scope === 'pipelines' && row.state !== 'closed' ? (
            <OrderButton
              label="Reset …"
              title={`Close the breaker ${row.name} now`}
              kind="breaker_reset"
              parameters={() => ({ name: row.name })}
            />
          ) : null,
        ),
      ]}
    />
  )
}
