import type { Candle, Market, Trade } from '@zmart/client'
import { useMemo } from 'preact/hooks'
import { ReadPanel } from '../../components/panel.tsx'
import type { Resource } from '../../data/resource.ts'
import { api } from '../../data/api.ts'
import { percent } from '../../format/amounts.ts'
import { PriceChart } from './price_chart.tsx'
import { candleShapes, type Interval, intervalFor, priceSeries, secondsOf } from './price_series.ts'
import { freshSeconds, type MarketPanelProps } from './reading.ts'

const MOST_TRADES = 100
const MOST_CANDLES = 200

export interface Prices {
  readonly trades: readonly Trade[]
  readonly candles: readonly Candle[]
  readonly interval: Interval
  readonly startPrice: number
}

interface PricePanelProps extends MarketPanelProps {
  readonly prices: Resource<Prices>
}

/** The price of YES over time: candles, and the trades that moved it. */
export function PricePanel({ prices, ...props }: PricePanelProps) {
  return (
    <ReadPanel
      title="Price of YES"
      hint="Candles and trades. 50 % means that YES and NO cost the same."
      class="two-thirds"
      resource={prices}
      freshFor={freshSeconds()}
    >
      {(found) => <Chart prices={found} {...props} />}
    </ReadPanel>
  )
}

/** The newest trades, and candles over their time. */
export async function readPrices(market: Market) {
  const path = { market: market.id }
  const { data, ...reading } = await api.reading('/api/markets/{market}/trades', {
    params: { path, query: { limit: MOST_TRADES } },
  })
  const begin = secondsAt(data.trades.at(-1)?.block_time) ?? secondsAt(market.activated_at) ?? 0
  const end = secondsAt(data.trades[0]?.block_time) ?? begin
  const interval = intervalFor(end - begin)
  const candles = await api.get('/api/markets/{market}/candles', {
    params: { path, query: { interval, limit: MOST_CANDLES, from: begin - secondsOf(interval) } },
  })
  const prices: Prices = {
    trades: data.trades,
    candles: candles.candles,
    interval,
    startPrice: candles.previous_close,
  }
  return { ...reading, data: prices }
}

function Chart({ prices, market }: { prices: Prices } & MarketPanelProps) {
  const opened = secondsAt(market.activated_at)
  const shape = useMemo(() => {
    const first = secondsAt(prices.trades.at(-1)?.block_time) ?? opened ?? 0
    const begin = prices.trades.length < MOST_TRADES ? Math.min(opened ?? first, first) : first
    const last = secondsAt(market.resolution_proposed_at) ?? Date.now() / 1000
    return {
      series: priceSeries(prices.trades, prices.startPrice, begin, Math.max(last, begin + 1)),
      candles: candleShapes(prices.candles),
    }
  }, [prices, opened, market.resolution_proposed_at])
  if (opened === undefined) return <p class="quiet">Trading has not begun. The price will start at 50 %.</p>
  const label =
    `Price of YES: ${percent(market.price_yes)} after ${market.trades_count} trades,` +
    ` ${prices.candles.length} candles of ${prices.interval}`
  return (
    <>
      <PriceChart label={label} {...shape} seconds={secondsOf(prices.interval)} />
      <p class="legend small">
        <span class="yes">▲ buys of YES</span> <span class="no">▼ buys of NO</span>
        <span class="quiet">
          bars: candles of {prices.interval} · {market.trades_count} trades
          {prices.trades.length === MOST_TRADES && `, the last ${prices.trades.length} drawn`}
        </span>
      </p>
    </>
  )
}

function secondsAt(time: string | null | undefined): number | undefined {
  return time == null ? undefined : Date.parse(time) / 1000
}
