import { Page } from '../../components/page.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { api } from '../../data/api.ts'
import { useResource } from '../../data/resource.ts'
import { readServiceHealth } from '../../data/service_health.ts'
import { AlertsPanel } from './alerts_panel.tsx'
import { CircuitBreakers, KillSwitches } from './controls.tsx'
import { Coverage } from './coverage.tsx'
import { Deadlines } from './deadlines.tsx'
import { FIGURES_SECONDS } from './figures.ts'
import { Growth } from './growth.tsx'
import { Intake } from './intake.tsx'
import { OperatorsPanel } from './operators/operators_panel.tsx'
import { Owed } from './owed.tsx'
import { Reconciliation } from './reconciliation.tsx'
import { Storage } from './storage.tsx'
import { Submissions } from './submissions.tsx'
import { SystemMap } from './system_map.tsx'
import { HEALTH_FRESH_SECONDS, Verdict } from './verdict.tsx'

const HEALTH_SECONDS = 3
const OWED_SECONDS = 5
/** Entries of each list of what is owed and of deadlines. */
const OWED = 6

export default function SystemPage() {
  const { state } = useResource('health', readServiceHealth, HEALTH_SECONDS)
  const { state: owed } = useResource('owed', () => api.reading('/api/owed', { params: { query: { limit: OWED } } }), OWED_SECONDS)
  const { state: figures } = useResource('figures', () => api.reading('/api/system'), FIGURES_SECONDS)
  const { state: sockets } = useResource('sockets', () => api.reading('/health/websocket'), FIGURES_SECONDS)
  return (
    <Page title="System" lead={<p class="quiet">Is everything that is due done?</p>}>
      <Verdict health={state.value} />
      <div class="grid">
        <ReadPanel
          title="How it works now"
          hint="From the chain into the ledger and to clients, and back to the chain."
          resource={state.value}
          freshFor={HEALTH_FRESH_SECONDS}
        >
          {(health) => <SystemMap health={health} figures={figures.value} sockets={sockets.value} />}
        </ReadPanel>
        <Owed owed={owed.value} health={state.value} />
        <AlertsPanel />
        <Deadlines owed={owed.value} />
        <Intake figures={figures.value} sockets={sockets.value} />
        <Submissions />
        <Coverage />
        <Reconciliation />
        <Storage figures={figures.value} />
        <CircuitBreakers />
        <Growth />
        <KillSwitches />
        <OperatorsPanel />
      </div>
    </Page>
  )
}
