import { now } from '../data/clock.ts'
import { connection } from '../data/live.ts'
import { duration, utcTime } from '../format/times.ts'
import { Status } from '../components/status.tsx'

/** Seconds after which a first connection that does not come is a failure. */
const PATIENCE = 5

/** Whether figures move by themselves now; where they do not, since when. */
export function ConnectionSign() {
  const { state, since } = connection.value
  const seconds = (now.value - since) / 1000
  const isAway = state === 'reconnecting' || (state === 'connecting' && seconds > PATIENCE)
  return (
    <div class="connection" role="status">
      {state === 'connected' && <Status level="ok">Live</Status>}
      {state === 'connecting' && !isAway && <Status level="info">Connecting …</Status>}
      {isAway && (
        <Status level="warning">
          Reconnecting since {utcTime(since)}
          <span aria-hidden="true"> ({duration(seconds)})</span>
        </Status>
      )}
    </div>
  )
}
