/** Sizes of files and tables as texts. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes in the largest unit of which there is one. */
export function size(bytes: number): string {
  let [value, unit] = [Math.abs(bytes), 0]
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1]
  const sign = bytes < 0 ? '−' : ''
  return `${sign}${unit === 0 ? value : value.toFixed(1)}\u00a0${UNITS[unit]}`
}
