import { titled } from '../format/names.ts'
import { type Level, Status } from './status.tsx'

/** The states of a market in the order of its life, as the program names them. */
export const MARKET_STATES = [
  'PROPOSED',
  'APPROVED',
  'ACTIVE',
  'RESOLVING',
  'DISPUTED',
  'FINALIZED',
  'CANCELLED',
] as const

export type MarketState = (typeof MARKET_STATES)[number]

const LEVELS: Readonly<Record<MarketState, Level>> = {
  PROPOSED: 'info',
  APPROVED: 'info',
  ACTIVE: 'ok',
  RESOLVING: 'warning',
  DISPUTED: 'warning',
  FINALIZED: 'idle',
  CANCELLED: 'idle',
}

export function MarketStateSign({ state }: { state: MarketState }) {
  return <Status level={LEVELS[state]}>{titled(state)}</Status>
}
