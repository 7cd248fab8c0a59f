/** The shape of a market maker's depth for drawing, from its exact levels. */
import type { DepthLevel, SideDepth } from '@zmart/client'

const SCALE = 1e9

export interface DepthPoint {
  /** Price between 0 and 1. */
  readonly price: number
  /** Whole shares between the current price and this one. */
  readonly shares: number
}

export interface DepthShape {
  readonly price: number
  /** From the current price upwards. */
  readonly asks: readonly DepthPoint[]
  /** From the current price downwards. */
  readonly bids: readonly DepthPoint[]
  /** The largest number of shares on either side. */
  readonly most: number
}

/** The curve of one side; undefined for a market without a price. Numbers are for drawing only. */
export function depthShape({ price, asks, bids }: SideDepth): DepthShape | undefined {
  if (price === null) return undefined
  const start = { price: price / SCALE, shares: 0 }
  const up = [start, ...asks.map(pointOf)]
  const down = [start, ...bids.map(pointOf)]
  const most = Math.max(...[...up, ...down].map(({ shares }) => shares))
  return { price: start.price, asks: up, bids: down, most }
}

function pointOf(level: DepthLevel): DepthPoint {
  return { price: level.price / SCALE, shares: Number(level.exact.shares) / SCALE }
}

/** An SVG path below a curve, in a box of this size, closed at the bottom. */
export function areaPath(
  points: readonly DepthPoint[],
  most: number,
  range: readonly [number, number],
  width: number,
  height: number,
): string {
  const x = (price: number) => (((price - range[0]) / (range[1] - range[0])) * width).toFixed(1)
  const y = (shares: number) => (height - (shares / (most || 1)) * height).toFixed(1)
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined) return ''
  const line = points.map(({ price, shares }) => `L${x(price)} ${y(shares)}`).join('')
  return `M${x(first.price)} ${height}${line}L${x(last.price)} ${height}Z`
}
