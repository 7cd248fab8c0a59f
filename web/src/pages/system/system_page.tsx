import { Page } from '../../components/page.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { useResource } from '../../data/resource.ts'
import { readServiceHealth } from '../../data/service_health.ts'
import { AlertsPanel } from './alerts_panel.tsx'
import { Controls } from './controls.tsx'
import { Coverage } from './coverage.tsx'
import { OperatorsPanel } from './operators/operators_panel.tsx'
import { Owed } from './owed.tsx'
import { Reconciliation } from './reconciliation.tsx'
import { Submissions } from './submissions.tsx'
import { SystemMap } from './system_map.tsx'
import { HEALTH_FRESH_SECONDS, Verdict } from './verdict.tsx'

const HEALTH_SECONDS = 3

export default function SystemPage() {
  const { state } = useResource('health', readServiceHealth, HEALTH_SECONDS)
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
          {(health) => <SystemMap health={health} />}
        </ReadPanel>
        <Owed health={state.value} />
        <AlertsPanel />
        <Submissions />
        <Coverage />
        <Reconciliation />
        <Controls />
        <OperatorsPanel />
      </div>
    </Page>
  )
}
