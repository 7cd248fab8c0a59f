import type { ProtocolParameters } from '@zmart/client'
import { Waiting } from '../../../components/panel.tsx'
import { Status } from '../../../components/status.tsx'
import type { Resource } from '../../../data/resource.ts'
import { grouped } from '../../../format/amounts.ts'
import { PARAMETERS, valueOf } from './configuration_changes.ts'

/** The protocol's parameters to be changed, each with the value in force. */
export function ConfigurationFields({ protocol }: { protocol: Resource<ProtocolParameters> }) {
  const { data, problem } = protocol
  if (data === undefined) {
    return problem === undefined ? <Waiting /> : <Status level="bad">The values in force were not read: {problem}</Status>
  }
  return (
    <fieldset class="parameters">
      <legend>Values in force since slot {grouped(data.slot)}; what you do not change stays</legend>
      {PARAMETERS.map((parameter) => (
        <label key={parameter.name}>
          {parameter.label}, in {parameter.unit}
          <input
            name={parameter.name}
            inputMode="numeric"
            autocomplete="off"
            defaultValue={valueOf(data, parameter)}
          />
        </label>
      ))}
    </fieldset>
  )
}
