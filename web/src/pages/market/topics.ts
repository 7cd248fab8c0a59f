import type { Update } from '@zmart/client'

/** What a change of a market may concern. */
export type Topic = 'state' | 'trading' | 'votes' | 'discussion'

const ALL: readonly Topic[] = ['state', 'trading', 'votes', 'discussion']

/** What an update of a market's channel concerns. */
export function topicsOf(update: Update): readonly Topic[] {
  // The first snapshot is as new as what was just read; a later one stands for frames that were missed.
  if (update.kind === 'snapshot') return update.missed === undefined ? [] : ALL
  switch (update.type) {
    case 'trade':
      return ['trading']
    case 'vote':
      return ['votes']
    case 'discussion':
      return ['discussion']
    case 'market_state':
      return isMove(update.data) ? ALL : []
    default:
      return []
  }
}

function isMove({ old_state, new_state, correction }: { old_state: unknown; new_state: unknown; correction?: unknown }) {
  return old_state !== new_state || correction !== undefined
}
