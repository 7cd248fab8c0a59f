/** Exact texts of integers. Amounts never pass through floating point. */

const DECIMALS = 9
const UNIT = 10n ** BigInt(DECIMALS)
/** A thin space, which no line breaks at. */
const GROUP = '\u202f'

/** An integer of the API: a number up to 2^53, a text above that. */
export type Integer = bigint | number | string

/** `1234567` as `1 234 567`. */
export function grouped(value: Integer): string {
  const text = BigInt(value).toString()
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, GROUP)
}

/**
 * Lamports or shares (9 decimals) as SOL or whole shares, exactly: trailing zeros are left out.
 * With `places` the rest is cut off, and `…` says so.
 */
export function decimal(value: Integer, places = DECIMALS): string {
  const integer = BigInt(value)
  const size = integer < 0n ? -integer : integer
  const digits = (size % UNIT).toString().padStart(DECIMALS, '0')
  const shown = digits.slice(0, places).replace(/0+$/, '')
  const isCut = /[1-9]/.test(digits.slice(places))
  const sign = integer < 0n ? '−' : ''
  const fraction = shown === '' ? '' : `.${shown}`
  return `${sign}${grouped(size / UNIT)}${fraction}${isCut ? '…' : ''}`
}

export function sol(lamports: Integer, places?: number): string {
  return `${decimal(lamports, places)} SOL`
}

/** A price (9 decimals, 1 is certainty) as a percentage with one decimal, rounded half up. */
export function percent(price: Integer): string {
  const tenths = (BigInt(price) * 1000n + UNIT / 2n) / UNIT
  return `${tenths / 10n}.${tenths % 10n} %`
}

/** Basis points as a percentage. */
export function basisPoints(points: Integer): string {
  const value = BigInt(points)
  const rest = (value % 100n).toString().padStart(2, '0').replace(/0+$/, '')
  return `${value / 100n}${rest === '' ? '' : `.${rest}`} %`
}

/** The share of a part in a whole, in tenths of a percent, rounded down; 0 of nothing. */
export function tenthsOfPercent(part: Integer, whole: Integer): number {
  const all = BigInt(whole)
  return all === 0n ? 0 : Number((BigInt(part) * 1000n) / all)
}
