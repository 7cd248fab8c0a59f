import type { Alert, AlertCause, OperatorAlert, Update } from '@zmart/client'
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { api } from './api.ts'
import { isOperator } from './identity.ts'
import { useChannel, usePersonalChannel } from './live.ts'
import { useResource } from './resource.ts'

/** An alert as this page's user may read it: operators have its text. */
export type ShownAlert = Alert | OperatorAlert

/** The open alerts, newest first; undefined until the channel has sent them. */
const openAlerts = signal<readonly ShownAlert[] | undefined>(undefined)

/** Follow the open alerts while the component is shown, with their texts where those are sent. */
export function useOpenAlerts(): readonly ShownAlert[] | undefined {
  const withTexts = isOperator()
  // What was read as someone else is forgotten at once.
  useEffect(() => () => void (openAlerts.value = undefined), [withTexts])
  useChannel(withTexts ? undefined : 'alerts', take)
  usePersonalChannel(withTexts ? 'alerts' : undefined, take)
  return openAlerts.value
}

function take(update: Update): void {
  if (update.kind === 'snapshot') {
    openAlerts.value = (update.state as { alerts: ShownAlert[] }).alerts
  } else if (update.type === 'alert') {
    openAlerts.value = changed(openAlerts.value ?? [], update.data)
  }
}

/** The open alerts after one was raised, changed or cleared. */
function changed(alerts: readonly ShownAlert[], alert: ShownAlert): readonly ShownAlert[] {
  const others = alerts.filter(({ id }) => id !== alert.id)
  if (alert.cleared_at !== null) return others
  return others.length === alerts.length
    ? [alert, ...others]
    : alerts.map((one) => (one.id === alert.id ? alert : one))
}

export function hasText(alert: ShownAlert): alert is OperatorAlert {
  return 'message' in alert
}

/** What alerts mean and what helps first, by topic. It does not change while the API runs. */
export function useAlertCauses(): ReadonlyMap<string, AlertCause> {
  const { state } = useResource('alert causes', () => api.reading('/api/alerts/causes'))
  return new Map(state.value.data?.causes.map((cause) => [cause.topic, cause]))
}
