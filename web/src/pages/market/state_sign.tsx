import { type Level, Status } from '../../components/status.tsx'
import { titled } from '../../format/names.ts'

const LEVELS: Readonly<Record<string, Level>> = {
  ACTIVE: 'ok',
  FINALIZED: 'idle',
  CANCELLED: 'idle',
  DISPUTED: 'warning',
}

/** A market's state as a sign. */
export function StateSign({ state }: { state: string }) {
  return (
    <span class="state-sign">
      <Status level={LEVELS[state] ?? 'info'}>{titled(state)}</Status>
    </span>
  )
}
