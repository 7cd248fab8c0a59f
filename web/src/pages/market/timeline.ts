/** The timeline of a market's states, from its events and their transactions. */
import type { Event, TransactionDetail } from '@zmart/client'

export interface Step {
  readonly id: string
  /** What happened, in words. */
  readonly title: string
  /** The state that the market has since then; undefined where the event does not change it. */
  readonly state: string | undefined
  readonly at: string | null
  readonly slot: number
  readonly signature: string
  readonly commitment: string
  /** The wallet that the event names; null where a key of this system or the admin sent it. */
  readonly wallet: string | null
  /** Lamports; undefined while it is not read, null where it is not known. */
  readonly fee: number | null | undefined
  /** What of this system sent the transaction. */
  readonly action: string | undefined
  readonly run: string | null | undefined
}

const STEPS: Readonly<Record<string, readonly [string, string | undefined]>> = {
  MarketCreated: ['Proposed', 'PROPOSED'],
  ProposalAggregated: ['Votes of the proposal written', undefined],
  ProposalApproved: ['Approved', 'APPROVED'],
  MarketActivated: ['Opened for trading', 'ACTIVE'],
  MarketCancelled: ['Cancelled', 'CANCELLED'],
  MarketResolved: ['Outcome proposed', 'RESOLVING'],
  DisputeInitiated: ['Outcome disputed', 'DISPUTED'],
  DisputeAggregated: ['Votes of the dispute written', undefined],
  MarketFinalized: ['Outcome final', 'FINALIZED'],
  LiquidityWithdrawn: ['Liquidity withdrawn by the creator', undefined],
}

/** Types of the events that a timeline is made of. */
export const STEP_TYPES = Object.keys(STEPS)

/** The steps in the chain's order, with what is known of their transactions. */
export function timelineOf(
  events: readonly Event[],
  transactions: ReadonlyMap<string, TransactionDetail>,
): Step[] {
  return events.flatMap((event) => {
    const [title, state] = STEPS[event.type ?? ''] ?? []
    if (title === undefined) return []
    const transaction = transactions.get(event.signature)
    const submission = transaction?.submissions[0]
    return [
      {
        id: event.id,
        title,
        state,
        at: event.block_time,
        slot: event.slot,
        signature: event.signature,
        commitment: event.commitment,
        wallet: event.wallet,
        fee: transaction && feeOf(transaction),
        action: submission?.action,
        run: submission?.run_id,
      },
    ]
  })
}

/** Who moved a market, in words. */
export function actorOf(step: Step): 'pipelines' | 'wallet' | 'admin' {
  if (step.action !== undefined) return 'pipelines'
  return step.wallet === null ? 'admin' : 'wallet'
}

function feeOf({ readings }: TransactionDetail): number | null {
  return readings.find((reading) => reading.commitment !== 'orphaned')?.fee ?? null
}
