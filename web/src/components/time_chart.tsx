import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { axesOf, type Colour, PADDING, TIMES, tzDate, usePlot } from './plots.ts'

export interface Line {
  readonly label: string
  /** A custom property of the styles, such as `--accent`. */
  readonly colour: string
  readonly format: (value: number) => string
}

interface TimeChartProps {
  /** What the chart shows, in a sentence; screen readers get it in place of the picture. */
  readonly label: string
  /** Seconds since 1970, then the values of each line. Values are for drawing, never for sums. */
  readonly data: uPlot.AlignedData
  readonly lines: readonly Line[]
  readonly height?: number
}

/** Lines over time, in UTC. */
export function TimeChart({ label, data, lines, height = 220 }: TimeChartProps) {
  const frame = useRef<HTMLDivElement>(null)
  const newest = useRef(data)
  newest.current = data
  const plot = usePlot(
    frame,
    height,
    (element, colour) =>
      new uPlot(options(element.clientWidth, height, lines, colour), newest.current, element),
    [lines],
  )
  useEffect(() => plot.current?.setData(data), [data])
  return <div class="time-chart" ref={frame} role="img" aria-label={label} />
}

function options(width: number, height: number, lines: readonly Line[], colour: Colour): uPlot.Options {
  return {
    width,
    height,
    tzDate,
    padding: PADDING,
    axes: axesOf(colour, lines[0]?.format ?? String),
    series: [
      TIMES,
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 2,
        points: { show: false },
        value: (_: uPlot, value: number | null) => (value === null ? '–' : line.format(value)),
      })),
    ],
  }
}
