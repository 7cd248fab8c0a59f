import type { AlertSilence, OperatorAlert } from '@zmart/client'
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ActButton } from '../../../components/act_button.tsx'
import { Time } from '../../../components/time.tsx'
import { identity } from '../../../data/identity.ts'
import { useResource } from '../../../data/resource.ts'
import { titled } from '../../../format/names.ts'

const SECONDS = 15
const HOURS = [1, 4, 24, 168] as const
/** Raised by one when a silence begins or ends here, so that the list is read again. */
const silencesChanged = signal(0)

/** Sends no message about alerts like this one for some hours; they are still shown. */
export function SilenceButton({ alert }: { alert: OperatorAlert }) {
  const { topic, market_id: market, subject } = alert
  return (
    <ActButton
      label="Silence …"
      title={`Silence: ${titled(topic)}`}
      submit="Silence"
      act={async (client, { reason = '', hours, width }) => {
        const one = { ...(market !== null && { market_id: market }), ...(subject !== null && { subject }) }
        await client.post('/api/alerts/silences', {
          body: { topic, reason, seconds: Number(hours) * 3600, ...(width === 'one' ? one : {}) },
        })
        silencesChanged.value += 1
      }}
    >
      <p class="quiet small">No message is sent about it; what is still open at the end is sent then.</p>
      <label>
        Which
        <select name="width">
          <option value="one">This alert alone</option>
          <option value="all">All alerts of this cause</option>
        </select>
      </label>
      <label>
        For how long
        <select name="hours">
          {HOURS.map((hours) => (
            <option key={hours} value={hours}>
              {hours < 48 ? `${hours} h` : `${hours / 24} days`}
            </option>
          ))}
        </select>
      </label>
    </ActButton>
  )
}

/** The silences that last, for operators alone. */
export function Silences() {
  const { state, refresh } = useResource(
    `silences for ${identity.value?.name}`,
    () => client().reading('/api/alerts/silences'),
    SECONDS,
  )
  useEffect(() => void refresh(), [silencesChanged.value])
  const silences = state.value.data?.silences ?? []
  if (silences.length === 0) return null
  return (
    <section aria-label="Silences">
      <h3>Silenced now</h3>
      <ul class="alerts">
        {silences.map((silence) => (
          <SilenceItem key={silence.id} silence={silence} />
        ))}
      </ul>
    </section>
  )
}

function SilenceItem({ silence }: { silence: AlertSilence }) {
  return (
    <li class="alert small">
      <p>
        <strong>{titled(silence.topic)}</strong>, ends <Time at={silence.ends_at} short />
      </p>
      <p class="quiet">
        {silence.reason} · {silence.created_by}
      </p>
      <ActButton
        label="End silence …"
        title={`End the silence: ${titled(silence.topic)}`}
        submit="End silence"
        act={async (operator, { reason = '' }) => {
          await operator.delete('/api/alerts/silences/{silence}', {
            params: { path: { silence: silence.id } },
            body: { reason },
          })
          silencesChanged.value += 1
        }}
      >
        <p class="quiet small">What is still open is sent then.</p>
      </ActButton>
    </li>
  )
}

function client() {
  const found = identity.value?.client
  if (found === undefined) throw new Error('Sign in again.')
  return found
}
