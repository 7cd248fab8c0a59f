/** Candles and trades of a market, aligned for drawing. */
import type { Candle, Trade } from '@zmart/client'

const SCALE = 1e9

export interface Marker {
  /** Seconds since 1970. */
  readonly time: number
  readonly price: number
  readonly isYes: boolean
  readonly isBuy: boolean
}

export interface PriceSeries {
  /** Seconds since 1970, strictly increasing. */
  readonly times: number[]
  /** The price of YES after the last trade up to each time, in percent. */
  readonly prices: number[]
  readonly markers: Marker[]
}

/**
 * The price of YES in percent as steps, from its start price over every trade up to `until`.
 * `trades` may come in any order; numbers are for drawing only.
 */
export function priceSeries(
  trades: readonly Trade[],
  startPrice: number,
  begin: number,
  until: number,
): PriceSeries {
  const markers = trades
    .filter((trade) => trade.block_time !== null)
    .map((trade) => ({
      time: Date.parse(trade.block_time ?? '') / 1000,
      price: percentOf(trade.price_yes),
      isYes: trade.outcome,
      isBuy: trade.trade_type === 'buy',
      slot: trade.slot,
    }))
    .reverse()
    .sort((one, other) => one.slot - other.slot)
  const steps = new Map<number, number>([[begin, percentOf(startPrice)]])
  // Of several trades in one second the last one counts.
  for (const { time, price } of markers) steps.set(Math.max(time, begin), price)
  const end = Math.max(until, ...steps.keys())
  const last = markers.at(-1)?.price ?? percentOf(startPrice)
  steps.set(end, steps.get(end) ?? last)
  const ordered = [...steps].sort(([one], [other]) => one - other)
  return {
    times: ordered.map(([time]) => time),
    prices: ordered.map(([, price]) => price),
    markers: markers.map(({ time, price, isYes, isBuy }) => ({ time, price, isYes, isBuy })),
  }
}

export interface CandleShape {
  readonly time: number
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
}

/** Candles with prices in percent. */
export function candleShapes(candles: readonly Candle[]): CandleShape[] {
  return candles.map(({ time, open, high, low, close }) => ({
    time,
    open: percentOf(open),
    high: percentOf(high),
    low: percentOf(low),
    close: percentOf(close),
  }))
}

export const INTERVALS = [
  ['1m', 60],
  ['5m', 300],
  ['15m', 900],
  ['1h', 3_600],
  ['4h', 14_400],
  ['1d', 86_400],
  ['1w', 604_800],
] as const
export type Interval = (typeof INTERVALS)[number][0]

/** The shortest interval that cuts a span into at most `most` candles. */
export function intervalFor(seconds: number, most = 90): Interval {
  return INTERVALS.find(([, length]) => seconds / length <= most)?.[0] ?? '1w'
}

export function secondsOf(interval: Interval): number {
  return INTERVALS.find(([name]) => name === interval)?.[1] ?? 60
}

function percentOf(price: number): number {
  return (price / SCALE) * 100
}
