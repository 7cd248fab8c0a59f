import type { PnlPoint } from '@zmart/client'

const LAMPORTS = 1e9

/** Times in seconds and results in SOL, for drawing only. */
export function resultSeries(points: readonly PnlPoint[]): [number[], number[]] {
  const dated = points.filter(({ timestamp }) => timestamp !== null)
  return [
    dated.map(({ timestamp }) => Date.parse(timestamp ?? '') / 1000),
    dated.map(({ exact }) => Number(exact.pnl) / LAMPORTS),
  ]
}
