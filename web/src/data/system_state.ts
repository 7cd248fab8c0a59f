import type { SystemState } from '@zmart/client'
import { signal } from '@preact/signals'
import { follow } from './live.ts'

/** Lag, breakers and kill switches, and when the API read them (milliseconds since 1970). */
export interface KnownSystemState {
  readonly state: SystemState
  readonly readAt: number
}

export const systemState = signal<KnownSystemState | undefined>(undefined)

/** Follow the state of the system from now on; every page shows whether it is live. */
export function followSystemState(): void {
  follow('system', (update) => {
    const state = update.kind === 'snapshot' ? update.state : update.data
    // The position of a frame of this channel is when it was read.
    if (isSystemState(state)) systemState.value = { state, readAt: update.seq }
  })
}

function isSystemState(state: unknown): state is SystemState {
  return typeof state === 'object' && state !== null && 'switches' in state && 'lag' in state
}
