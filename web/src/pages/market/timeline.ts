/** The words of a market's timeline. */
import type { TimelineStep } from '@zmart/client'

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
