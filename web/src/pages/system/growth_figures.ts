/** Growth from sizes over time. */
import type { SystemGrowth } from '@zmart/client'
import { size } from '../../format/sizes.ts'

type Sizes = readonly (number | null)[]

/** The sizes without the times at which none was measured. */
export function measuredOf(sizes: Sizes): number[] {
  return sizes.filter((one) => one !== null)
}

/** From the first measured size to the last: `+1.5 MiB`. */
export function growthOf(sizes: Sizes): string {
  const measured = measuredOf(sizes)
  const grown = (measured.at(-1) ?? 0) - (measured[0] ?? 0)
  return grown > 0 ? `+${size(grown)}` : size(grown)
}

/** Seconds from the first time to the last. */
export function spanOf({ times }: SystemGrowth): number {
  return (Date.parse(times.at(-1) ?? '') - Date.parse(times[0] ?? '')) / 1000
}
