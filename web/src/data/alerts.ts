import type { Alert } from '@zmart/client'
import { signal } from '@preact/signals'
import { useChannel } from './live.ts'

/** The open alerts, newest first; undefined until the channel has sent them. */
export const openAlerts = signal<readonly Alert[] | undefined>(undefined)

/** Follow the open alerts while the component is shown. */
export function useOpenAlerts(): readonly Alert[] | undefined {
  useChannel('alerts', (update) => {
    if (update.kind === 'snapshot') openAlerts.value = (update.state as { alerts: Alert[] }).alerts
    else if (update.type === 'alert') openAlerts.value = changed(openAlerts.value ?? [], update.data)
  })
  return openAlerts.value
}

/** The open alerts after one was raised, changed or cleared. */
export function changed(alerts: readonly Alert[], alert: Alert): readonly Alert[] {
  const others = alerts.filter(({ id }) => id !== alert.id)
  return alert.cleared_at === null ? [alert, ...others] : others
}
