import type { MarketDepth } from '@zmart/client'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { api } from '../../data/api.ts'
import { decimal, percent, sol } from '../../format/amounts.ts'
import { areaPath, depthShape } from './depth_shape.ts'
import { freshSeconds, type MarketPanelProps, useMarketPart } from './reading.ts'

const WIDTH = 640
const HEIGHT = 180

/** What it costs to move the price, by the program's own arithmetic. */
export function DepthPanel(props: MarketPanelProps) {
  const depth = useMarketPart(props, 'depth', ['state', 'trading'], (market) =>
    api.reading('/api/markets/{market}/depth', {
      params: { path: { market }, query: { levels: 20, step_bps: 200 } },
    }),
  )
  return (
    <ReadPanel
      title="Depth of YES"
      hint="Shares that move the price, by the market maker’s formula (LMSR)."
      class="third"
      resource={depth}
      freshFor={freshSeconds()}
    >
      {(found) => <DepthCurve depth={found} />}
    </ReadPanel>
  )
}

function DepthCurve({ depth }: { depth: MarketDepth }) {
  const shape = depthShape(depth.yes)
  if (shape === undefined) return <p class="quiet">The market has no price yet.</p>
  const lowest = shape.bids.at(-1)?.price ?? shape.price
  const highest = shape.asks.at(-1)?.price ?? shape.price
  const range = [lowest, highest] as const
  const x = ((shape.price - lowest) / (highest - lowest || 1)) * WIDTH
  const nearest = depth.yes.asks[0]
  return (
    <>
      <svg
        class="depth"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Depth around a price of ${percent(depth.yes.price ?? 0)}`}
      >
        <path class="bids" d={areaPath(shape.bids, shape.most, range, WIDTH, HEIGHT)} />
        <path class="asks" d={areaPath(shape.asks, shape.most, range, WIDTH, HEIGHT)} />
        <line class="now" x1={x} x2={x} y1="0" y2={HEIGHT} />
      </svg>
      <p class="depth-axis small quiet">
        <span>{percent(Math.round(lowest * 1e9))}</span>
        <span>now {percent(depth.yes.price ?? 0)}</span>
        <span>{percent(Math.round(highest * 1e9))}</span>
      </p>
      <p class="legend small">
        <span class="asks">▲ shares to buy</span> <span class="bids">▼ shares to sell</span>
        <span class="quiet">highest: {decimal(mostShares(depth))} shares</span>
      </p>
      {nearest !== undefined && (
        <p class="small">
          Buying {decimal(nearest.exact.shares)} YES moves the price to {percent(nearest.price)} and costs{' '}
          {sol(nearest.exact.total)}, fees of {sol(nearest.exact.fees)} included.
        </p>
      )}
      {depth.refused_buys !== null && (
        <Status level="idle">No trading now: {depth.refused_buys.message}</Status>
      )}
    </>
  )
}

/** The number of shares at the top of the curve, exactly. */
function mostShares({ yes }: MarketDepth): bigint {
  const ends = [yes.asks.at(-1), yes.bids.at(-1)].map((level) => BigInt(level?.exact.shares ?? 0))
  return ends.reduce((most, one) => (one > most ? one : most), 0n)
}
