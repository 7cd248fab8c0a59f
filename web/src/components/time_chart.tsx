import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'

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
  readonly range?: readonly [number, number]
}

/** Lines over time, in UTC, drawn by uPlot; it follows the width and the colour scheme. */
export function TimeChart({ label, data, lines, height = 220, range }: TimeChartProps) {
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)

  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const make = () => {
      plot.current?.destroy()
      plot.current = new uPlot(options(element, lines, height, range), data, element)
    }
    make()
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height }),
    )
    resized.observe(element)
    const scheme = new MutationObserver(make)
    scheme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      resized.disconnect()
      scheme.disconnect()
      plot.current?.destroy()
    }
  }, [lines, height])

  useEffect(() => plot.current?.setData(data), [data])

  return <div class="time-chart" ref={frame} role="img" aria-label={label} />
}

function options(
  element: HTMLElement,
  lines: readonly Line[],
  height: number,
  range: readonly [number, number] | undefined,
): uPlot.Options {
  const styles = getComputedStyle(document.documentElement)
  const colour = (name: string) => styles.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--text-quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: '12px "Inter Variable", system-ui',
  }
  const format = lines[0]?.format ?? String
  return {
    width: element.clientWidth,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    scales: range === undefined ? {} : { y: { range: [range[0], range[1]] } },
    axes: [axis, { ...axis, size: 64, values: (_, values) => values.map(format) }],
    series: [
      { label: 'Time (UTC)' },
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
