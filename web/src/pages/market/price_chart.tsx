import { useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { axesOf, type Colour, PADDING, TIMES, tzDate, usePlot } from '../../components/plots.ts'
import type { CandleShape, PriceSeries } from './price_series.ts'

const HEIGHT = 280
const LEAST_BODY = 3
const MOST_BODY = 14
/** Percent that the axis shows at least. */
const LEAST_RANGE = 4

interface PriceChartProps {
  /** What the chart shows, in a sentence, for screen readers. */
  readonly label: string
  readonly series: PriceSeries
  readonly candles: readonly CandleShape[]
  /** Length of a candle. */
  readonly seconds: number
}

/** The price in percent as steps, over candles, with a mark for each trade. */
export function PriceChart({ label, series, candles, seconds }: PriceChartProps) {
  const frame = useRef<HTMLDivElement>(null)
  usePlot(
    frame,
    HEIGHT,
    (element, colour) => {
      const data: uPlot.AlignedData = [series.times, series.prices]
      return new uPlot(options(element.clientWidth, series, candles, seconds, colour), data, element)
    },
    [series, candles, seconds],
  )
  return <div class="price-chart" ref={frame} role="img" aria-label={label} />
}

function options(
  width: number,
  series: PriceSeries,
  candles: readonly CandleShape[],
  seconds: number,
  colour: Colour,
): uPlot.Options {
  const stepped = uPlot.paths.stepped?.({ align: 1 })
  const shown = (value: number) => `${value.toFixed(1)} %`
  return {
    width,
    height: HEIGHT,
    tzDate,
    padding: PADDING,
    scales: { y: { range: (_, low, high) => around(low, high, candles) } },
    axes: axesOf(colour, shown),
    series: [
      TIMES,
      {
        label: 'YES',
        stroke: colour('--accent'),
        width: 2,
        points: { show: false },
        ...(stepped && { paths: stepped }),
        value: (_: uPlot, value: number | null) => (value === null ? '–' : shown(value)),
      },
    ],
    hooks: {
      drawClear: [(plot) => drawCandles(plot, candles, seconds, colour)],
      draw: [(plot) => drawMarkers(plot, series, colour)],
    },
  }
}

/** The range of the axis: all of the prices with some room, inside 0 to 100 %. */
function around(
  low: number,
  high: number,
  candles: readonly CandleShape[],
): [number, number] {
  const least = Math.min(low, ...candles.map((candle) => candle.low))
  const most = Math.max(high, ...candles.map((candle) => candle.high))
  const room = Math.max((most - least) * 0.12, (LEAST_RANGE - (most - least)) / 2)
  return [Math.max(0, least - room), Math.min(100, most + room)]
}

function drawCandles(
  plot: uPlot,
  candles: readonly CandleShape[],
  seconds: number,
  colour: Colour,
): void {
  const { ctx } = plot
  const ratio = devicePixelRatio
  const x = (time: number) => plot.valToPos(time, 'x', true)
  const y = (price: number) => plot.valToPos(price, 'y', true)
  clipped(plot, () => {
    for (const { time, open, high, low, close } of candles) {
      const room = Math.abs(x(time + seconds) - x(time)) * 0.7
      const width = Math.min(MOST_BODY * ratio, Math.max(LEAST_BODY * ratio, room))
      const middle = x(time + seconds / 2)
      ctx.fillStyle = ctx.strokeStyle = colour(close >= open ? '--yes' : '--no')
      ctx.globalAlpha = 0.4
      ctx.lineWidth = ratio
      ctx.beginPath()
      ctx.moveTo(middle, y(high))
      ctx.lineTo(middle, y(low))
      ctx.stroke()
      const top = y(Math.max(open, close))
      ctx.fillRect(middle - width / 2, top, width, Math.max(ratio, y(Math.min(open, close)) - top))
    }
  })
}

/** A triangle for each trade: up where it raised the price, down where it lowered it. */
function drawMarkers(plot: uPlot, { markers }: PriceSeries, colour: Colour): void {
  const { ctx } = plot
  const size = 5 * devicePixelRatio
  clipped(plot, () => {
    for (const { time, price, isYes, isBuy } of markers) {
      const rises = isYes === isBuy
      const x = plot.valToPos(time, 'x', true)
      const y = plot.valToPos(price, 'y', true)
      const tip = rises ? -size : size
      ctx.fillStyle = colour(rises ? '--yes' : '--no')
      ctx.beginPath()
      ctx.moveTo(x, y + tip)
      ctx.lineTo(x - size, y - tip)
      ctx.lineTo(x + size, y - tip)
      ctx.closePath()
      ctx.fill()
    }
  })
}

function clipped(plot: uPlot, draw: () => void): void {
  const { ctx, bbox } = plot
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  draw()
  ctx.restore()
}
