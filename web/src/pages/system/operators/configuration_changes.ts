/** What an operator wrote into the form of the protocol's parameters, as the change that it asks for. */
import type { ProtocolParameters } from '@zmart/client'
import { grouped } from '../../../format/amounts.ts'

/** A parameter that the admin can change: basis points, or seconds. */
export interface Parameter {
  readonly name: Exclude<keyof ProtocolParameters, 'is_paused' | 'changed_at' | 'slot' | 'exact'>
  readonly label: string
  readonly unit: 'basis points' | 'seconds'
}

export const PARAMETERS: readonly Parameter[] = [
  { name: 'protocol_fee_bps', label: 'Protocol’s fee', unit: 'basis points' },
  { name: 'resolver_reward_bps', label: 'Resolver’s reward', unit: 'basis points' },
  { name: 'liquidity_provider_fee_bps', label: 'Liquidity provider’s fee', unit: 'basis points' },
  { name: 'proposal_approval_threshold', label: 'Likes that approve a proposal', unit: 'basis points' },
  { name: 'dispute_success_threshold', label: 'Agreement that a dispute needs', unit: 'basis points' },
  { name: 'min_resolution_delay', label: 'Least time before a resolution', unit: 'seconds' },
  { name: 'dispute_period', label: 'Time for disputes', unit: 'seconds' },
]

const BOUNDS = { 'basis points': [0n, 10_000n], seconds: [1n, BigInt(Number.MAX_SAFE_INTEGER)] } as const

/** The value that holds now, exactly. */
export function valueOf(parameters: ProtocolParameters, { name }: Parameter): string {
  const exact: Readonly<Record<string, string>> = parameters.exact
  return exact[name] ?? String(parameters[name])
}

/**
 * The parameters whose value differs from the one in force.
 *
 * Throws an error that names each field with a value that none can have, and one where nothing differs.
 */
export function changesOf(
  fields: Readonly<Record<string, string>>,
  parameters: ProtocolParameters,
): Readonly<Record<string, number>> {
  const changes: Record<string, number> = {}
  const problems: string[] = []
  for (const parameter of PARAMETERS) {
    const { name, label, unit } = parameter
    const text = fields[name] ?? ''
    if (text === valueOf(parameters, parameter)) continue
    const [least, most] = BOUNDS[unit]
    if (!/^\d+$/.test(text) || BigInt(text) < least || BigInt(text) > most) {
      problems.push(`${label}: a whole number of ${unit} from ${least} to ${grouped(most)}.`)
    } else if (BigInt(text) !== BigInt(valueOf(parameters, parameter))) {
      changes[name] = Number(text)
    }
  }
  if (problems.length > 0) throw new Error(problems.join(' '))
  if (Object.keys(changes).length === 0) throw new Error('No value differs from the one in force.')
  return changes
}
