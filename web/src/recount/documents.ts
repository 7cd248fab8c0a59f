/** The documents of a ballot bundle, read strictly: no unknown field, no missing one. */

export type Kind = 'proposal' | 'dispute'

export interface Counts {
  readonly votes_for: number
  readonly votes_against: number
  readonly total: number
  readonly share_bps: number
  readonly ballots: number
}

export interface Ballot {
  readonly wallet: string
  readonly choice: boolean
  readonly source: string
  readonly weight?: number
  readonly scheme?: string
  readonly message?: string
  readonly signature?: string
  readonly voted_at?: number
}

export interface Root {
  readonly program: string
  readonly network: string
  readonly genesis: string
  readonly market: string
  readonly kind: Kind
  readonly round: number
  readonly cutoff: { readonly slot: number; readonly chain_time: number }
  readonly rules: {
    readonly threshold_bps: number
    readonly minimum_ballots: number
    readonly eligibility: string
    readonly weight_unit?: number
  }
  readonly counts: Counts
  readonly ballots?: readonly Ballot[]
  readonly parts?: readonly string[]
}

export interface Part {
  readonly number: number
  readonly ballots: readonly Ballot[]
}

/** A value is not of the expected shape; the message names the field. */
export class UnexpectedShape extends Error {}

const VERSION = 2

export function readRoot(value: unknown): Root {
  checkHeader(value, 'zmart-ballots')
  return ROOT(value, 'bundle') as Root
}

export function readPart(value: unknown): Part {
  checkHeader(value, 'zmart-ballots-part')
  return PART(value, 'part') as Part
}

function checkHeader(value: unknown, format: string): void {
  const { format: found, version } = (value ?? {}) as Readonly<Record<string, unknown>>
  if (found !== format) throw new UnexpectedShape(`the format is ${String(found)}, not ${format}`)
  if (version !== VERSION) {
    throw new UnexpectedShape(`the format version is ${String(version)}; only ${VERSION} is supported`)
  }
}

type Reader = (value: unknown, name: string) => unknown

const text: Reader = (value, name) => typed(value, name, typeof value === 'string', 'a text')
const flag: Reader = (value, name) => typed(value, name, typeof value === 'boolean', 'true or false')
const integer: Reader = (value, name) => typed(value, name, Number.isSafeInteger(value), 'an integer')
const atLeastOne: Reader = (value, name) =>
  typed(value, name, Number.isSafeInteger(value) && (value as number) >= 1, 'an integer above 0')
const kind: Reader = (value, name) =>
  typed(value, name, value === 'proposal' || value === 'dispute', 'proposal or dispute')

function listOf(item: Reader): Reader {
  return (value, name) => {
    typed(value, name, Array.isArray(value), 'a list')
    return (value as unknown[]).map((one, place) => item(one, `${name}[${place}]`))
  }
}

/** Null stands for an absent value. */
function nullable(reader: Reader): Reader {
  return (value, name) => (value === null ? undefined : reader(value, name))
}

/** An object of these fields and no others. */
function struct(
  required: Readonly<Record<string, Reader>>,
  optional: Readonly<Record<string, Reader>> = {},
): Reader {
  return (value, name) => {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    typed(value, name, isObject, 'an object')
    const given = value as Readonly<Record<string, unknown>>
    for (const field of Object.keys(given)) {
      if (!Object.hasOwn(required, field) && !Object.hasOwn(optional, field)) {
        throw new UnexpectedShape(`${name}: the field ${field} is unknown`)
      }
    }
    for (const field of Object.keys(required)) {
      if (!Object.hasOwn(given, field)) throw new UnexpectedShape(`${name}: ${field} is missing`)
    }
    return Object.fromEntries(
      Object.entries(given).map(([field, one]) => {
        const reader = required[field] ?? optional[field]
        return [field, reader?.(one, `${name}.${field}`)]
      }),
    )
  }
}

function typed(value: unknown, name: string, holds: boolean, expected: string): unknown {
  if (!holds) throw new UnexpectedShape(`${name}: is not ${expected}`)
  return value
}

const BALLOT = struct(
  { wallet: text, choice: flag, source: text },
  {
    weight: atLeastOne,
    scheme: nullable(text),
    message: nullable(text),
    signature: nullable(text),
    voted_at: nullable(integer),
  },
)
const PART = struct({ format: text, version: integer, number: integer, ballots: listOf(BALLOT) })
const ROOT = struct(
  {
    format: text,
    version: integer,
    program: text,
    network: text,
    genesis: text,
    market: text,
    kind,
    round: integer,
    cutoff: struct({ slot: integer, chain_time: integer }),
    rules: struct(
      { threshold_bps: integer, minimum_ballots: integer, eligibility: text },
      { weight_unit: nullable(atLeastOne) },
    ),
    counts: struct({
      votes_for: integer,
      votes_against: integer,
      total: integer,
      share_bps: integer,
      ballots: integer,
    }),
  },
  { ballots: nullable(listOf(BALLOT)), parts: nullable(listOf(text)) },
)
