/** What all charts have in common: they follow width and colour scheme, and have axes in UTC. */
import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { axisTime, utc } from '../format/times.ts'

/** The value of a custom property of the styles, such as `--accent`. */
export type Colour = (name: string) => string

const FONT = '12px "Inter Variable", system-ui'
/** Pixels of a digit in this font, and between numbers and plot. */
const DIGIT = 7
const GAP = 14

/**
 * Draw in `frame` for as long as the component is shown: again where one of the inputs or the
 * colours have changed, and in another size where the width has.
 */
export function usePlot(
  frame: RefObject<HTMLElement | null>,
  height: number,
  make: (element: HTMLElement, colour: Colour) => uPlot,
  inputs: readonly unknown[],
): RefObject<uPlot | null> {
  const plot = useRef<uPlot>(null)
  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const draw = () => {
      const styles = getComputedStyle(document.documentElement)
      plot.current?.destroy()
      plot.current = make(element, (name) => styles.getPropertyValue(name).trim())
    }
    draw()
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height }),
    )
    resized.observe(element)
    const scheme = new MutationObserver(draw)
    scheme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      resized.disconnect()
      scheme.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
  }, [...inputs, height])
  return plot
}

/** Axes of times in UTC and of values; the second is as wide as its longest number. */
export function axesOf(colour: Colour, format: (value: number) => string): uPlot.Axis[] {
  const axis = {
    stroke: colour('--text-quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: FONT,
  }
  return [
    {
      ...axis,
      space: 90,
      values: ({ scales: { x } }, times, _axis, _space, step) => {
        const span = (x?.max ?? 0) - (x?.min ?? 0)
        return times.map((time) => axisTime(time, span, step))
      },
    },
    {
      ...axis,
      values: (_, values) => values.map(format),
      size: (_, texts) => GAP + DIGIT * Math.max(5, ...(texts ?? []).map(({ length }) => length)),
    },
  ]
}

/** Times of charts are seconds, in UTC. */
export const tzDate = (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC')

/** The entry of the legend for the time under the cursor. */
export const TIMES: uPlot.Series = {
  label: 'Time',
  value: (_: uPlot, seconds: number | null) => (seconds === null ? '–' : utc(seconds * 1000)),
}

/** Room right of the plot for half of the last time. */
export const PADDING: uPlot.Padding = [null, 40, null, null]
