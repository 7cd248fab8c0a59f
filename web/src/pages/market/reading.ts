import type { Market, Network, Reading } from '@zmart/client'
import { useEffect } from 'preact/hooks'
import type { Changes } from '../../data/changes.ts'
import { connection } from '../../data/live.ts'
import { type Resource, useResource } from '../../data/resource.ts'
import type { Topic } from './topics.ts'

/** Seconds after which figures are read again, whether a frame came or not. */
export const READ_SECONDS = 60
/** Seconds for which figures are fresh although nothing announces changes any more. */
const CUT_OFF_SECONDS = 15

/**
 * Seconds after which figures that were not read again are marked as stale. Frames announce what
 * changes; while none can come, only what was just read is fresh.
 */
export function freshSeconds(): number {
  return connection.value.state === 'connected' ? 2.5 * READ_SECONDS : CUT_OFF_SECONDS
}

/** What every panel of a market receives. */
export interface MarketPanelProps {
  readonly market: Market
  readonly network: Network | undefined
  readonly changes: Changes<Topic>
}

/** A part of a market: read regularly, and soon after frames about one of its topics. */
export function useMarketPart<Data>(
  { market, changes }: MarketPanelProps,
  name: string,
  topics: readonly Topic[],
  read: (id: string) => Promise<Reading<Data>>,
): Resource<Data> {
  const watched = useResource(`${name} of ${market.id}`, () => read(market.id), READ_SECONDS)
  useEffect(() => changes.follow(topics, () => void watched.refresh()), [changes, watched])
  return watched.state.value
}
