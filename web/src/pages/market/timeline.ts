/** The order and the words of a market's timeline. */
import type { DiscussionSnapshot, TimelineStep } from '@zmart/client'

/** What stands on the timeline: a step on chain, or a pinned day of the discussion. */
export type TimelineItem =
  | { readonly is: 'step'; readonly step: TimelineStep }
  | { readonly is: 'snapshot'; readonly snapshot: DiscussionSnapshot }

/** The steps in the chain's order, and each snapshot behind the steps that came before it was pinned. */
export function timelineOf(
  steps: readonly TimelineStep[],
  snapshots: readonly DiscussionSnapshot[],
): readonly TimelineItem[] {
  const waiting = snapshots
    .flatMap((snapshot) => (snapshot.pinned_at === null ? [] : [{ snapshot, at: Date.parse(snapshot.pinned_at) }]))
    .sort((one, other) => one.at - other.at)
  const items: TimelineItem[] = []
  for (const step of steps) {
    const at = step.at === null ? -Infinity : Date.parse(step.at)
    while (waiting[0] !== undefined && waiting[0].at < at) {
      items.push({ is: 'snapshot', snapshot: waiting[0].snapshot })
      waiting.shift()
    }
    items.push({ is: 'step', step })
  }
  return [...items, ...waiting.map(({ snapshot }) => ({ is: 'snapshot' as const, snapshot }))]
}

const TITLES: Readonly<Record<string, string>> = {
  MarketCreated: 'Proposed',
  ProposalAggregated: 'Votes of the proposal written',
  ProposalApproved: 'Approved',
  MarketActivated: 'Opened for trading',
  MarketCancelled: 'Cancelled',
  MarketResolved: 'Outcome proposed',
  DisputeInitiated: 'Outcome disputed',
  DisputeAggregated: 'Votes of the dispute written',
  MarketFinalized: 'Outcome final',
  LiquidityWithdrawn: 'Liquidity withdrawn by the creator',
}

/** What happened, in words; a step that is new to this page keeps the program's name. */
export function titleOf({ event }: TimelineStep): string {
  return TITLES[event] ?? event
}
