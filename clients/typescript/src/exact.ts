/** Rows repeat the integers that may exceed 2^53 as text under `exact`. */
export interface Exact {
  readonly exact: Readonly<Record<string, string>>
}

/** The integers of a row that JavaScript's numbers may have rounded, as bigint. */
export function exactIntegers<Row extends Exact>(row: Row): { [Name in keyof Row['exact']]: bigint } {
  const entries = Object.entries(row.exact).map(([name, text]) => [name, BigInt(text)])
  return Object.fromEntries(entries) as { [Name in keyof Row['exact']]: bigint }
}

/** An integer for a request's body; throws a RangeError where a number cannot hold it exactly. */
export function asNumber(integer: bigint): number {
  const number = Number(integer)
  if (!Number.isSafeInteger(number)) throw new RangeError(`${integer} exceeds 2^53 - 1`)
  return number
}
