import { now } from '../data/clock.ts'
import { isUtcHere, local, relative, utc, utcAndLocal } from '../format/times.ts'

/** A moment: its distance from now, and UTC and local time side by side where they differ. */
export function Time({ at, short = false }: { at: string | number; short?: boolean }) {
  const iso = new Date(at).toISOString()
  return (
    <time class="time" dateTime={iso} title={utcAndLocal(at)}>
      <span class="nowrap">{relative(at, now.value)}</span>
      {!short && (
        <span class="quiet">
          <span class="nowrap">{utc(at)}</span>
          {!isUtcHere(at) && <span class="nowrap"> {local(at)}</span>}
        </span>
      )}
    </time>
  )
}
